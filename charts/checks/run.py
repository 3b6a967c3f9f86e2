"""All checks of chart and images. Started by .ci/charts, which installs what it needs. Exits with 1 if one has failed."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml

import alerts
import chart_values
import cloud_native_pg
import commands
import compose
import manifests
import readme
import rendering
import scanners
from report import Report

TENANT_CLUSTER = Path(__file__).with_name("tenant_cluster.json")
MODELS = Path(__file__).with_name("models.mjs")
# Kinds that Kubernetes does not know.
BY_MODELS = {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}
CUSTOM = BY_MODELS | {"Cluster"}


def ask_models(place: Path, documents: list[dict], expressions: list[str]) -> dict:
    asked = subprocess.run(
        ["node", MODELS, place],
        input=json.dumps({"documents": documents, "expressions": expressions}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    if asked.returncode:
        raise RuntimeError(asked.stderr[-600:])
    return json.loads(asked.stdout)


def check_set(report: Report, name: str, values: dict, rendered: dict[str, str], custom: bool, place: Path):
    documents = rendering.documents(rendered)
    report.run(f"{name}: strict lint", rendering.lint, values)
    for version in (manifests.OLDEST, manifests.newest()):
        count = sum(document["kind"] not in CUSTOM for document in documents)
        report.run(f"{name}: {count} objects by the schemas of Kubernetes {version}", manifests.invalid, documents, version, CUSTOM)
    report.run(f"{name}: names, namespaces and selectors", manifests.inconsistent, documents)
    report.run(f"{name}: pod standard restricted, root read-only", manifests.not_restricted, documents)
    report.run(f"{name}: rolling updates and time to stop", manifests.not_graceful, documents)
    report.run(f"{name}: environment variables are settings", manifests.unknown_variables, documents)
    report.run(f"{name}: checkov", scanners.manifests, yaml.safe_dump_all(documents), values)
    if custom:
        report.run(f"{name}: CloudNativePG's clusters by its types", cloud_native_pg.invalid, documents, place)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, help="the folder with what was installed from npm")
    parser.add_argument("--binary", type=Path, help="a tenantry, to ask for its --help")
    args = parser.parse_args()
    report = Report()

    sets = rendering.sets()
    rendered = {name: rendering.render(values) for name, values in sets.items()}
    for name, values in sets.items():
        check_set(report, name, values, rendered[name], args.models is not None, args.models)

    everything = rendering.documents(rendered["everything"])
    expressions = [rule["expr"] for rule in alerts.rules(everything)] + alerts.dashboard_expressions()
    if args.models:
        custom = [d for texts in rendered.values() for d in rendering.documents(texts) if d["kind"] in BY_MODELS]
        # PromQL knows no variables of Grafana.
        plain = [expression.replace("$__rate_interval", "5m") for expression in expressions]
        found = ask_models(args.models, custom, plain)
        report.check(f"{len(custom)} objects by the models of prometheus-operator and gateway-api", found["invalid"])
        report.check(f"{len(plain)} expressions by PromQL's grammar", found["unparsable"])
        # What a worker applies for a tenant server, as a test of the worker says.
        cluster = json.loads(TENANT_CLUSTER.read_text())
        report.run("a tenant server's cluster by CloudNativePG's types", cloud_native_pg.invalid, [cluster], args.models)
    else:
        report.skip("custom resources and PromQL", "what they are checked with could not be installed from npm")
    report.run("alerts and dashboard ask for metrics that exist", alerts.unknown_metrics, expressions)
    report.run("every metric is on the dashboard", alerts.unshown_metrics)
    all_alerts = alerts.rules(rendering.documents(rendered["production"]))
    report.run(f"a page for each of {len(all_alerts)} alerts", alerts.pages_that_fail, all_alerts)

    report.run(f"{len(chart_values.BAD)} bad values are refused, and why", chart_values.accepted_or_unclear)
    report.run("values and schema name the same, and nothing else is admitted", chart_values.unlike_schema)
    stale = [f"run {sys.executable} charts/checks/readme.py"] if readme.is_stale() else []
    report.check("README.md of the chart is that of its values", stale)
    report.run("Dockerfile: hadolint", scanners.hadolint)
    report.run("Dockerfile: checkov", scanners.dockerfile)
    report.run("compose.yaml: services, volumes, script", compose.problems)
    report.run("chart, image and compose.yaml have the workspace's version", compose.versions_differ)
    if args.binary:
        notes = [text for texts in rendered.values() for name, text in texts.items() if name.endswith("NOTES.txt")]
        report.run("every command in notes and pages exists", commands.unknown, args.binary, notes)
    else:
        report.skip("commands in notes and pages", "no tenantry is built; name one in TENANTRY_BIN")
    print(f"{report.failed} checks have failed" if report.failed else "all checks have passed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
