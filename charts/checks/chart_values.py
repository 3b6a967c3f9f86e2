"""values.yaml, its schema and its README say the same, and bad values are refused with a message that helps."""

import json

import yaml

from rendering import CHART, refused

# Members whose shape is another's business: Kubernetes' or an operator's, whose schemas see them when they are rendered.
OPEN = {
    "global", "nodeAffinity", "podAffinity", "podAntiAffinity", "scaleUp", "scaleDown", "metrics", "backup", "plugins",
    "podSelector", "namespaceSelector", "ports",
}  # fmt: skip

# What somebody might write, and what of the answer tells what is wrong.
BAD = [
    ({"baseDomian": "x.com"}, "baseDomian"),
    ({"baseDomain": ""}, "/baseDomain"),
    ({"baseDomain": "https://x.com"}, "/baseDomain"),
    ({"image": {"tag": "a b"}}, "/image/tag"),
    ({"image": {"digest": "sha256:1"}}, "/image/digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    ({"listenAddress": "127.0.0.1"}, "/listenAddress"),
    ({"log": {"format": "xml"}}, "/log/format"),
    ({"registry": {"url": "postgres://a:b@c/d"}}, "url"),
    ({"registry": {"existingSecret": {"name": ""}}}, "registry.existingSecret.name is empty"),
    ({"registry": {"connections": 0}}, "/registry/connections"),
    ({"registry": {"timeoutSeconds": 0}}, "/registry/timeoutSeconds"),
    ({"registry": {"cloudnativePg": {"storage": {"size": "much"}}}}, "/registry/cloudnativePg/storage/size"),
    ({"kek": "AAAA"}, "/kek"),
    ({"kek": {"existingSecret": {"name": "No_Name"}}}, "/kek/existingSecret/name"),
    ({"controlPlane": {"replicas": "two"}}, "/controlPlane/replicas"),
    ({"controlPlane": {"replica": 2}}, "replica"),
    ({"controlPlane": {"accessLog": True}}, "/controlPlane/accessLog"),
    ({"controlPlane": {"trustedProxies": ["proxy.example.com"]}}, "/controlPlane/trustedProxies/0"),
    ({"controlPlane": {"signup": {"app": "crm"}}}, "public sign-ups need a plan"),
    ({"controlPlane": {"resources": {"limit": {"memory": "1Gi"}}}}, "limit"),
    ({"controlPlane": {"service": {"port": 70000}}}, "/controlPlane/service/port"),
    ({"controlPlane": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "/controlPlane/podDisruptionBudget/maxUnavailable"),
    ({"dataPlane": {"drainSeconds": -1}}, "/dataPlane/drainSeconds"),
    ({"dataPlane": {"holdSeconds": 10}}, "dataPlane.holdSeconds must be more than worker.leaseSeconds"),
    ({"dataPlane": {"autoscaling": {"targetCPUUtilizationPercentage": 0}}}, "targetCPUUtilizationPercentage"),
    ({"dataPlane": {"extraEnv": [{"name": "lower-case", "value": "x"}]}}, "/dataPlane/extraEnv/0/name"),
    ({"dataPlane": {"extraEnv": [{"name": "A", "value": 1}]}}, "/dataPlane/extraEnv/0"),
    ({"dataPlane": {"extraEnv": [{"name": "A"}]}}, "/dataPlane/extraEnv/0"),
    ({"dataPlane": {"topologySpread": {"whenUnsatisfiable": "Maybe"}}}, "whenUnsatisfiable"),
    ({"worker": {"terminationGracePeriodSeconds": 5}}, "/worker/terminationGracePeriodSeconds"),
    ({"worker": {"label": "Main Registry"}}, "/worker/label"),
    ({"worker": {"autoscaling": {"enabled": True}}}, "autoscaling"),
    ({"podSecurityContext": {"runAsUser": 0}}, "/podSecurityContext/runAsUser"),
    ({"podSecurityContext": {"privileged": True}}, "privileged"),
    ({"gateway": {"enabled": True}}, "gateway.parentRefs is empty"),
    ({"customDomains": {"gateway": {"enabled": True}}}, "customDomains.gateway.parentRefs is empty"),
    ({"networkPolicy": {"postgresPorts": []}}, "/networkPolicy/postgresPorts"),
    ({"networkPolicy": {"from": [{"namespace": "x"}]}}, "namespace"),
    ({"providers": {"kubernetes": {"enabled": True, "namespace": "tenantry-system"}}}, "must be another than the release's"),
    ({"providers": {"rds": {"enabled": True}}}, "providers.rds.subnetGroup is empty"),
    ({"providers": {"rds": {"securityGroups": ["default"]}}}, "/providers/rds/securityGroups/0"),
    ({"providers": {"local": {"enabled": True}}}, "local"),
    ({"monitoring": {"serviceMonitor": {"interval": 30}}}, "/monitoring/serviceMonitor/interval"),
    ({"monitoring": {"prometheusRule": {"enabled": True, "disabled": ["TenantryNoSuch"]}}}, "no alert TenantryNoSuch"),
    ({"monitoring": {"prometheusRule": {"runbookUrl": "docs"}}}, "/monitoring/prometheusRule/runbookUrl"),
]  # fmt: skip


def _spelt(path: str, message: str) -> bool:
    """Whether a message names a path, however the library that checks schemas writes it."""
    return path in message or path.strip("/").replace("/", ".") in message


def accepted_or_unclear() -> list[str]:
    problems = []
    for values, told in BAD:
        message = refused(values)
        if message is None:
            problems.append(f"{json.dumps(values)} is accepted")
        elif not _spelt(told, message):
            problems.append(f"{json.dumps(values)}: {told!r} is not in {message!r}")
    return problems


def loose(schema: dict, path: str = "") -> list[str]:
    """Objects of the schema that admit members which they do not name."""
    problems = []
    if schema.get("type") == "object" and path.rsplit("/", 1)[-1] not in OPEN:
        closed = schema.get("additionalProperties")
        if closed is not False and not (isinstance(closed, dict) and closed):
            problems.append(f"{path or '/'}: admits any member")
    for word in ("properties", "definitions"):
        for name, part in schema.get(word, {}).items():
            problems += loose(part, f"{path}/{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            problems += loose(schema[word], path)
    return problems


def unlike_schema() -> list[str]:
    """Values without a place in the schema, and the other way round."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    problems = loose(schema)

    def compare(values: dict, part: dict, path: str):
        part = schema["definitions"][part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part
        named = part.get("properties")
        if named is None:
            return
        problems.extend(f"{path}{name}: is not in the schema" for name in values.keys() - named.keys())
        missing = named.keys() - values.keys() - ({"global"} if not path else set())
        # Of amounts, a value names those that it sets.
        problems.extend(f"{path}{name}: is not in values.yaml" for name in missing if not path.endswith("resources."))
        for name in values.keys() & named.keys():
            if isinstance(values[name], dict):
                compare(values[name], named[name], f"{path}{name}.")

    compare(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")
    # Pass-throughs that are empty by default.
    empty = ("affinity.", "behavior.")
    return [problem for problem in problems if not any(f".{word}" in problem for word in empty)]
