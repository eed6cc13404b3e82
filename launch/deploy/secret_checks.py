"""Check that the Secrets exist which the objects of a server name. Their content is never read or printed."""

from __future__ import annotations

from collections.abc import Iterator

from launch.deploy.client import Cluster
from launch.deploy.request import Problem, Request
from launch.render.pod import API_KEY

# What the Secret of an option holds, as options of `kubectl create secret`; no password is in a command line.
CONTENT = {
    "--pull-secret": "--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=FILE",
    "--hub-secret": "--from-file=token=FILE",
}


def check_secrets(cluster: Cluster, request: Request) -> Iterator[Problem]:
    """Find Secrets that do not exist."""
    yield from _other_secrets(cluster, request)
    if request.plan.container.env_files and not cluster.exists("Secret", API_KEY):
        file = request.plan.container.env_files[0]
        fix = (
            f"kubectl --namespace {cluster.namespace} create secret generic {API_KEY} --from-env-file={file}"
        )
        yield Problem(
            f"no Secret '{API_KEY}' in namespace '{cluster.namespace}'", "it holds the API key", fix
        )


def _other_secrets(cluster: Cluster, request: Request) -> Iterator[Problem]:
    storage = request.around.storage
    options = {
        "--pull-secret": request.settings.pull_secret,
        "--hub-secret": storage.hub_secret if storage else "",
    }
    for flag, name in options.items():
        if name and not cluster.exists("Secret", name):
            fix = f"kubectl --namespace {cluster.namespace} create secret generic {name} {CONTENT[flag]}"
            yield Problem(f"no Secret '{name}' in namespace '{cluster.namespace}'", f"{flag} names it", fix)
