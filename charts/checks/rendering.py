"""The chart, linted and rendered by Helm's own engine with each of its sets of values."""

from pathlib import Path

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tenantry"
RELEASE, NAMESPACE = "tenantry", "tenantry-system"
WARNING = 2


def sets() -> dict[str, dict]:
    """The sets of values in ci/, by name."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    return {file.name.removesuffix("-values.yaml"): yaml.safe_load(file.read_text()) or {} for file in files}


def lint(values: dict) -> list[str]:
    result = helm.lint(CHART, values, strict=True, kube_version="v1.31.0")
    found = [message for message in result["messages"] if message["severity"] >= WARNING]
    return [str(problem) for problem in [*result["errors"], *found]]


def render(values: dict) -> dict[str, str]:
    """The texts by template, notes included."""
    with helm.Chart.load(CHART) as chart:
        return chart.render(values, name=RELEASE, namespace=NAMESPACE)


def documents(rendered: dict[str, str]) -> list[dict]:
    texts = [text for name, text in rendered.items() if not name.endswith("NOTES.txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def name_of(document: dict) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def pod_specs(documents: list[dict]):
    """Every pod that the chart makes: what it is of, and its spec."""
    for document in documents:
        if document["kind"] == "Pod":
            yield name_of(document), document["spec"]
        elif template := document.get("spec", {}).get("template"):
            yield name_of(document), template["spec"]


def refused(values: dict) -> str | None:
    """Why these values are refused; none: they are not."""
    try:
        render(values)
    except helm.HelmError as error:
        return str(error)
    return None
