"""Alerts and dashboard: their metrics exist, and each alert has a page that tells what to do."""

import json
import re

from rendering import CHART, ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
DESCRIPTIONS = ROOT / "cli" / "src" / "telemetry" / "descriptions.rs"
# Of the process, by the crate metrics-process.
PROCESS = {f"process_{name}" for name in ("cpu_seconds_total", "max_fds", "open_fds", "resident_memory_bytes")}
# What a page has to say.
SECTIONS = ["## What it means", "## What to look at", "## What to do"]


def metrics() -> set[str]:
    """Those of Tenantry's own, with the series that a histogram has."""
    found = set(PROCESS)
    for kind, name in re.findall(r'\(\s*(Gauge|Counter|Seconds),\s*"(\w+)"', DESCRIPTIONS.read_text()):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "Seconds" else {name}
    return found


def dashboard_expressions() -> list[str]:
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return asked + [
        match[1] for variable in dashboard["templating"]["list"] if (match := re.match(r"label_values\((.*), ", variable["query"]))
    ]


def rules(documents: list[dict]) -> list[dict]:
    found = [document for document in documents if document["kind"] == "PrometheusRule"]
    return [rule for document in found for group in document["spec"]["groups"] for rule in group["rules"]]


def unknown_metrics(expressions: list[str]) -> list[str]:
    known = metrics()
    used = {(name, e) for e in expressions for name in re.findall(r"\b((?:tenantry|process)_\w+)", e)}
    return sorted(f"{name} in {expression}" for name, expression in used if name not in known)


def unshown_metrics() -> list[str]:
    """Metrics that the dashboard leaves out: a person would look for them there."""
    shown = " ".join(dashboard_expressions())
    own = {name.removesuffix("_bucket") for name in metrics() if not re.search(r"_(sum|count)$", name)} - PROCESS
    return sorted(f"{name} is on no panel" for name in own if name not in shown)


def pages_that_fail(rules: list[dict]) -> list[str]:
    problems, names = [], {rule["alert"] for rule in rules}
    for rule in rules:
        name = rule["alert"]
        page = RUNBOOKS / f"{name}.md"
        if not rule["annotations"]["runbook_url"].endswith(f"/{page.name}"):
            problems.append(f"{name}: runbook_url is {rule['annotations']['runbook_url']}")
        if not rule["labels"].get("severity") or not rule["annotations"].get("summary"):
            problems.append(f"{name}: has no severity or no summary")
        if not page.exists():
            problems.append(f"{name}: there is no page {page.relative_to(ROOT)}")
            continue
        text = page.read_text()
        if not text.startswith(f"# {name}\n"):
            problems.append(f"{page.name}: its first line is not its alert's name")
        problems += [f"{page.name}: has no section {section}" for section in SECTIONS if section not in text]
    pages = {page.stem for page in RUNBOOKS.glob("Tenantry*.md")}
    return problems + [f"{page}.md: there is no such alert" for page in sorted(pages - names)]
