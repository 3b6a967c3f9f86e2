"""Installs, upgrades and uninstalls the chart on an API server, with each of its sets of values. Takes its URL, a token
and the file with its CA."""

import sys

import helm_python as helm

import rendering

url, token, ca = sys.argv[1:]


def kinds(values: dict) -> set[str]:
    """What an installation is made of, hooks left out."""
    made = rendering.documents(rendering.render(values))
    hooks = [document for document in made if "helm.sh/hook" in document["metadata"].get("annotations", {})]
    return {rendering.name_of(document) for document in made if document not in hooks}


for name, values in rendering.sets().items():
    namespace = f"system-{name}"
    access = {"kube_apiserver": url, "kube_token": token, "kube_ca_file": ca}
    # Helm keeps releases as protocol buffers, which not every API server reads.
    with helm.Config(**access, namespace=namespace, storage_driver="memory") as cluster:
        cluster.install(rendering.CHART, rendering.RELEASE, values, create_namespace=True)
        larger = {**values, "controlPlane": {**values.get("controlPlane", {}), "drainSeconds": 20}}
        cluster.upgrade(rendering.CHART, rendering.RELEASE, larger)
        revisions = [release["revision"] for release in cluster.history(rendering.RELEASE)]
        assert revisions == [1, 2], revisions
        cluster.rollback(rendering.RELEASE, version=1)
        cluster.uninstall(rendering.RELEASE)
    print(f"{name}: {len(kinds(values))} objects installed, upgraded, rolled back and uninstalled", flush=True)
