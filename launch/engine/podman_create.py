"""Create a container with podman's own client, where podman's Docker socket ignores CDI names.

The Docker socket passes CDI names on from podman 5.4; podman's own API, which `podman create` uses, did long before.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launch.engine.client import is_podman, url_of_socket
from launch.engine.limits import Limits
from launch.render import docker as docker_command
from launch.spec.plan import Plan

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_SECONDS = 120
# containers/podman pull request 25171, as lablup/backend.ai 13829 found it on 4.9.3 and 5.4.0.
_FIRST_WITH_CDI = (5, 4)


def socket_takes_cdi(version: str) -> bool:
    """Return whether the Docker socket of this podman passes CDI names on; it ignores them without an error before."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and tuple(map(int, match.groups())) >= _FIRST_WITH_CDI


def is_needed(client: DockerClient, plan: Plan) -> bool:
    """Return whether the socket would ignore the plan's CDI names, and podman's client is here to pass them."""
    if not plan.container.cdi or not is_podman(client) or not shutil.which("podman"):
        return False
    return not socket_takes_cdi(str(client.version()["Version"]))


def argv(
    url: str, plan: Plan, image_id: str, name: str, limits: Limits, labels: Mapping[str, str]
) -> list[str]:
    """Return the `podman create` for a plan on one node. Podman may look for an image by name in registries."""
    process = plan.processes[0]
    options = [word for group in docker_command.flags(plan, process) for word in group]
    own = [] if plan.container.name else [f"--name={name}"]
    own += [f"--label={key}={value}" for key, value in labels.items()]
    logs = ["--log-driver=json-file", "--log-opt=max-size=100m"]
    create = ["podman", "--url", url, "create", "--pull=never", *options, *own, *logs, *limits.flags()]
    return [*create, image_id.removeprefix("sha256:"), *plan.command(process)]


def create(
    client: DockerClient, plan: Plan, image_id: str, name: str, limits: Limits, labels: Mapping[str, str]
) -> Container:
    """Create the container. Raises docker's APIError with what podman printed."""
    from docker.errors import APIError

    words = argv(url_of_socket(client), plan, image_id, name, limits, labels)
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise APIError(f"podman create did not answer in {_SECONDS} s") from None
    if done.returncode:
        raise APIError(done.stderr.strip() or f"podman create exited with {done.returncode}")
    return client.containers.get(done.stdout.strip())
