"""compose.yaml and the Dockerfile: what can be seen of them without Docker."""

import subprocess

import yaml

from rendering import CHART, ROOT


def problems() -> list[str]:
    """Services that wait for what is not there, volumes that nobody declares, and a script that is no script."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services, found = compose["services"], []
    for name, service in services.items():
        for wanted, how in (service.get("depends_on") or {}).items():
            if wanted not in services:
                found.append(f"{name} waits for {wanted}, which is not there")
            elif how["condition"] == "service_healthy" and "healthcheck" not in services[wanted]:
                found.append(f"{name} waits until {wanted} is healthy, which has no health check")
        for volume in service.get("volumes", []):
            if (source := volume.split(":")[0]) not in compose["volumes"]:
                found.append(f"{name} mounts {source}, which is not declared")
    script = services["secrets"]["command"][0].replace("$$", "$")
    asked = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
    return found + asked.stderr.splitlines()


def versions_differ() -> list[str]:
    """The version is the workspace's, in all places that name it."""
    version = next(line.split('"')[1] for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version = "))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    found = [f"Chart.yaml: {key} is {chart[key]}, not {version}" for key in ("version", "appVersion") if chart[key] != version]
    if f"image: tenantry:{version}\n" not in (ROOT / "compose.yaml").read_text():
        found.append(f"compose.yaml: the image has not the tag {version}")
    if f"ARG VERSION={version}\n" not in (ROOT / "Dockerfile").read_text():
        found.append(f"Dockerfile: VERSION is not {version}")
    return found
