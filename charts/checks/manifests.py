"""Rendered manifests against the schemas of Kubernetes, and what they must be beyond those."""

import collections

import kubernetes_validate

from rendering import NAMESPACE, ROOT, name_of, pod_specs

OLDEST = "1.31"
# Objects of the cluster as a whole.
WITHOUT_NAMESPACE = {"Namespace"}
# What is in the namespace of tenant clusters: everything else is in the release's.
ELSEWHERE = {"Role", "RoleBinding", "NetworkPolicy"}


def newest() -> str:
    """The newest version of Kubernetes whose schemas the tool has."""
    return ".".join(kubernetes_validate.latest_version().split(".")[:2])


def invalid(documents: list[dict], version: str, custom: set[str]) -> list[str]:
    """By the schemas of a version of Kubernetes, unknown members included. `custom`: kinds that it does not know."""
    problems = []
    for document in documents:
        if document["kind"] in custom:
            continue
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(map(str, error.path))
            problems.append(f"{name_of(document)}: {where}: {error.message[:200]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append(f"{name_of(document)}: {error.message}")
    return problems


def inconsistent(documents: list[dict]) -> list[str]:
    """Names that are taken twice or too long, namespaces, and references to what is not there."""
    problems = []
    keys = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    problems += [f"{key} is there twice" for key, count in collections.Counter(keys).items() if count > 1]
    names = collections.defaultdict(set)
    for document in documents:
        metadata, kind = document["metadata"], document["kind"]
        names[kind].add(metadata["name"])
        if len(metadata["name"]) > 63:
            problems.append(f"{name_of(document)}: the name has more than 63 characters")
        if kind not in WITHOUT_NAMESPACE | ELSEWHERE and metadata.get("namespace") != NAMESPACE:
            problems.append(f"{name_of(document)}: is in namespace {metadata.get('namespace')}")
    pods = [(d["spec"]["template"]["metadata"]["labels"]) for d in documents if "template" in d.get("spec", {})]
    pods += [d["metadata"]["labels"] for d in documents if d["kind"] == "Pod"]
    for document in documents:
        spec, kind = document.get("spec", {}), document["kind"]
        selector = spec.get("selector", {}) if kind == "Service" else spec.get("podSelector", spec.get("selector", {}))
        labels = selector if kind == "Service" else selector.get("matchLabels", {})
        here = document["metadata"].get("namespace") == NAMESPACE
        test = "component" in str(labels) and labels.get("app.kubernetes.io/component") in ("test", "metrics")
        if here and labels and not test and kind != "ServiceMonitor" and not any(labels.items() <= pod.items() for pod in pods):
            problems.append(f"{name_of(document)}: selects no pod: {labels}")
        if kind == "HorizontalPodAutoscaler" and spec["scaleTargetRef"]["name"] not in names["Deployment"]:
            problems.append(f"{name_of(document)}: scales {spec['scaleTargetRef']['name']}, which is not there")
        if kind == "Deployment" and spec["template"]["spec"]["serviceAccountName"] not in names["ServiceAccount"]:
            problems.append(f"{name_of(document)}: its service account is not there")
    return problems


def not_restricted(documents: list[dict]) -> list[str]:
    """Where a pod does not keep to the pod security standard `restricted`, and what this chart adds to it."""
    problems = []
    for name, spec in pod_specs(documents):
        pod = spec.get("securityContext", {})
        containers = spec["containers"] + spec.get("initContainers", [])
        wanted = {
            "runAsNonRoot": pod.get("runAsNonRoot") is True,
            "seccompProfile": pod.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "runAsUser": pod.get("runAsUser") != 0,
            "host namespaces": not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
            "volumes": all(
                set(volume) - {"name"} <= {"configMap", "emptyDir", "projected", "secret", "downwardAPI"}
                for volume in spec.get("volumes", [])
            ),
        }
        for container in containers:
            security = container.get("securityContext", {})
            wanted |= {
                "allowPrivilegeEscalation": security.get("allowPrivilegeEscalation") is False,
                "capabilities": security.get("capabilities") == {"drop": ["ALL"]},
                "privileged": not security.get("privileged"),
                "readOnlyRootFilesystem": security.get("readOnlyRootFilesystem") is True,
                "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
                "a limit of memory": "memory" in container.get("resources", {}).get("limits", {}),
                "its own user": "runAsUser" not in security,
            }
        problems += [f"{name}: {what}" for what, holds in wanted.items() if not holds]
    return problems


def not_graceful(documents: list[dict]) -> list[str]:
    """Where an upgrade could fail a request: rolling updates, and the time that a pod has to stop."""
    problems = []
    for document in documents:
        if document["kind"] != "Deployment":
            continue
        spec, pod = document["spec"], document["spec"]["template"]["spec"]
        if spec["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            problems.append(f"{name_of(document)}: maxUnavailable")
        env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
        # The planes' requests at hand have 20 s after the drain, a worker's steps 10 s.
        needed = float(env["TENANTRY_DRAIN"]) + 20 if "TENANTRY_DRAIN" in env else 10
        if pod["terminationGracePeriodSeconds"] < needed + 5:
            problems.append(f"{name_of(document)}: terminationGracePeriodSeconds is less than {needed + 5}")
        probes = pod["containers"][0]["livenessProbe"], pod["containers"][0]["readinessProbe"]
        if [probe["httpGet"]["path"] for probe in probes] != ["/livez", "/readyz"]:
            problems.append(f"{name_of(document)}: probes")
    return problems


def unknown_variables(documents: list[dict]) -> list[str]:
    """Variables of Tenantry's that are no setting."""
    settings = (ROOT / "docs" / "configuration.md").read_text()
    problems = []
    for name, spec in pod_specs(documents):
        for entry in spec["containers"][0].get("env", []):
            variable = entry["name"]
            if variable.startswith("TENANTRY_") and f"`{variable}`" not in settings:
                problems.append(f"{name}: {variable} is no setting")
    return problems
