"""checkov and hadolint: no finding, but those that are listed here with the reason."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rendering import ROOT

SKIPPED = {
    # A CPU limit makes requests slow while the node is idle.
    "CKV_K8S_11": "no CPU limit",
    # A tag of a release never changes, and a digest neither: pulling again gains nothing, and fails where the registry is away.
    "CKV_K8S_15": "imagePullPolicy is IfNotPresent by default",
    # The binary reads the database's URL and the first API key from its environment; the key-encryption key is a file.
    "CKV_K8S_35": "secrets as environment variables",
    # The digest is the installer's to give (image.digest); the values `production` do.
    "CKV_K8S_43": "an image without digest",
}
# Only where a worker makes servers in Kubernetes, whose API it asks.
WITH_TOKEN = {"CKV_K8S_38": "a service account's token is mounted"}
# Only where the cluster is to choose the user, as OpenShift does: the values `minimal`.
WITHOUT_USER = {"CKV_K8S_40": "no user of a high number"}
# A test's pod ends by itself: there is nothing to probe.
OF_TESTS = {"CKV_K8S_8", "CKV_K8S_9"}
# Only where network policies are switched off: the values `minimal`.
WITHOUT_POLICY = {"CKV2_K8S_6": "no network policy"}


def _checkov(framework: str, place: list[str], skipped: dict[str, str]) -> list[str]:
    checkov = Path(sys.executable).with_name("checkov")
    # It would look for policies in the net.
    flags = ["--skip-download", "--download-external-modules", "false", "--compact", "--quiet", "-o", "json"]
    skip = ["--skip-check", ",".join(skipped)] if skipped else []
    asked = subprocess.run(
        [checkov, *place, "--framework", framework, *flags, *skip],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"},
    )
    result = json.loads(asked.stdout)
    # What it cannot parse it passes over without a word.
    if "summary" not in result or result["summary"]["parsing_errors"] or not result["summary"]["passed"]:
        return [f"checkov has looked at nothing: {asked.stdout[:300]} {asked.stderr[:300]}"]
    failed = [
        check
        for check in result["results"]["failed_checks"]
        if not (check["check_id"] in OF_TESTS and re.fullmatch(r"Pod\..*-test", check["resource"]))
    ]
    return [f"{check['check_id']} {check['check_name']}: {check['resource']}" for check in failed]


def manifests(text: str, values: dict) -> list[str]:
    skipped = dict(SKIPPED)
    if values.get("providers", {}).get("kubernetes", {}).get("enabled"):
        skipped |= WITH_TOKEN
    if values.get("podSecurityContext", {}).get("runAsUser", 1) is None:
        skipped |= WITHOUT_USER
    if values.get("networkPolicy", {}).get("enabled") is False:
        skipped |= WITHOUT_POLICY
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rendered.yaml").write_text(text)
        return _checkov("kubernetes", ["-d", folder], skipped)


def dockerfile() -> list[str]:
    return _checkov("dockerfile", ["-f", str(ROOT / "Dockerfile")], {})


def hadolint() -> list[str]:
    tool = Path(sys.executable).with_name("hadolint")
    asked = subprocess.run([tool, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    return asked.stdout.splitlines() if asked.returncode else []
