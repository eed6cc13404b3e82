"""Run one plan as one container: create it with exactly the plan's access, verify it, stop and remove it.

A container is never started with `--rm`, because the log of a server that died is the evidence for a diagnosis.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed, Refused, SlipwayError
from launch import paths
from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from launch.engine import create_args, env_file, images, podman_create, ports
from launch.engine.limits import Limits
from launch.engine.servers import LABEL, STATE
from launch.engine.verify_access import check_access
from launch.spec.plan import FIRST_PORT, Plan, Port
from launch.spec.server_name import name_of

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_log = logging.getLogger(__name__)
_SAVED_LOG_LINES = 20_000


def ports_of(plan: Plan) -> tuple[Port, ...]:
    """Return the ports of this host that the server uses: the published ones, or its own on the host's network."""
    if plan.container.ports:
        return plan.container.ports
    argv = plan.processes[0].argv
    own = int(argv[argv.index("--port") + 1]) if "--port" in argv[:-1] else FIRST_PORT
    return (Port("127.0.0.1", own, own),)


def url_of(plan: Plan) -> str:
    """Return the URL of the server on this host."""
    port = ports_of(plan)[0]
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.host_ip, port.host_ip)
    return f"http://{f'[{address}]' if ':' in address else address}:{port.host}"


def start(
    client: DockerClient, plan: Plan, limits: Limits | None = None, *, replace: bool = False
) -> tuple[Container, bool]:
    """Return the plan's container, and whether it was started now. A running container of the same plan is kept.

    The caller holds the lock of the host, so that two launches share neither a name nor a port. Raises Refused if one
    of them is taken. Raises Failed, with a diagnosis, if the engine cannot start the container or does not grant the
    plan's access.
    """
    name = name_of(plan)
    existing = _find(client, name)
    if existing is not None and _is_kept(existing, plan, replace):
        return existing, False
    bound = _bound(client, plan, existing)
    # The digest is that of the plan as asked for, so that `--port auto` finds its server again.
    image_id = _image_id(client, plan)
    labels = _labels(bound, plan.digest, image_id)
    arguments = {**_arguments(bound, name, limits or Limits(), labels), "image": image_id}
    if existing is not None:  # stopped only after all checks
        stop(existing)
    _make_folders(plan)
    with _diagnosed(name):
        if podman_create.is_needed(client, bound):
            container = podman_create.create(client, bound, image_id, name, limits or Limits(), labels)
        else:
            container = client.containers.create(**arguments)
    try:
        with _diagnosed(name):
            container.start()
        check_access(client, container, plan)
    except Failed:
        container.remove(force=True)
        raise
    return container, True


def _image_id(client: DockerClient, plan: Plan) -> str:
    """Return the id of the plan's image. Raises Failed if it was removed since it was provided."""
    image = images.find(client, plan.image_source.id or plan.image)
    if image is None:
        raise images.gone(plan.image_source.name or plan.image)
    return str(image.id)


def must_start(client: DockerClient, plan: Plan, replace: bool = False) -> bool:
    """Return whether `start` will create a container. Raises Refused if the name or a port is taken.

    A launch asks before it fetches an image and weights; `start` checks again.
    """
    existing = _find(client, name_of(plan))
    if existing is not None and _is_kept(existing, plan, replace):
        return False
    _bound(client, plan, existing)
    return True


def _bound(client: DockerClient, plan: Plan, existing: Container | None) -> Plan:
    """Return the plan with the port that it gets. Raises Refused if it is taken."""
    servers = ports.of_servers(client)
    bound = ports.choose(plan, existing, servers)
    ports.refuse_taken(ports_of(bound), servers, except_for=ports.held_by(existing))
    return bound


@contextmanager
def _diagnosed(name: str) -> Iterator[None]:
    """Turn an error of the engine into Failed, with its cause and fix if they are known."""
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        message = str(error.explanation or error)
        result = diagnose(DiagnosisInput(engine_error=message))
        cause = f": {result.cause}" if result.known else ""
        fix = result.fix if result.known else "invoke doctor shows what this host lacks"
        raise Failed(f"the engine could not start {name}{cause}", why=message[:500], fix=fix) from None


def _make_folders(plan: Plan) -> None:
    """Create the folders that the container writes to; the engine would create them as root."""
    for mount in plan.container.mounts:
        if not mount.read_only and mount.source.startswith("/"):
            Path(mount.source).mkdir(parents=True, exist_ok=True)


def _labels(plan: Plan, digest: str, image_id: str) -> dict[str, str]:
    planned, source = plan.container, plan.image_source
    return {
        LABEL: digest,
        STATE: str(paths.state_dir()),
        "slipway.model": plan.model,
        "slipway.weights": plan.processes[0].argv[2],  # a model of the cache, or a folder in the container
        "slipway.commit": plan.commit,
        "slipway.image": plan.image,
        "slipway.image_name": source.name,
        "slipway.image_id": image_id,
        "slipway.image_digest": source.digest,
        "slipway.vllm_commit": source.vllm_commit,
        "slipway.channel": source.channel,
        "slipway.url": url_of(plan),
        "slipway.vllm": plan.vllm_version,
        "slipway.strategy": plan.strategy,
        "slipway.key": ",".join(planned.env_files),
        "slipway.gpus": ",".join(planned.gpu_ids or planned.cdi or planned.devices),
    }


def _arguments(plan: Plan, name: str, limits: Limits, labels: dict[str, str]) -> dict[str, Any]:
    logs = {"type": "json-file", "config": {"max-size": "100m", "max-file": "3"}}
    arguments = create_args.arguments(plan, plan.processes[0])
    arguments["environment"] = {**arguments.get("environment", {}), **_secrets(plan.container.env_files)}
    own = {"name": name, "labels": labels, "log_config": logs, "detach": True}
    return {**arguments, **limits.arguments(), **own}


def _secrets(env_files: tuple[str, ...]) -> dict[str, str]:
    secrets = {name: value for path in env_files for name, value in env_file.read(Path(path)).items()}
    if env_files and not secrets.get(env_file.API_KEY):
        raise Failed("an open port needs an API key, and its file has none", fix="invoke run creates one")
    return secrets


def _find(client: DockerClient, name: str) -> Container | None:
    from docker.errors import NotFound

    try:
        return client.containers.get(name)
    except NotFound:
        return None


def _is_kept(existing: Container, plan: Plan, replace: bool) -> bool:
    """Return whether the existing container of that name runs the plan. Raises Refused if it must not be replaced."""
    name, digest = existing.name, existing.labels.get(LABEL)
    if digest is None:
        raise Refused(
            f"a container named '{name}' exists that Slipway did not start", fix="--name with another name"
        )
    if replace or existing.status not in ("running", "paused"):
        return False
    if existing.status == "paused":
        raise Refused(f"{name} is paused", fix=f"docker unpause {name}, or --replace")
    if digest != plan.digest:
        raise Refused(
            f"{name} runs another plan ({digest}, this one is {plan.digest})",
            fix=f"--replace stops {name} first, --name starts another server next to it",
        )
    return True


def stop(container: Container, timeout: int = 30) -> None:
    """Ask the server to finish, kill it after `timeout` seconds, and remove the container."""
    if container.status == "running":
        container.stop(timeout=timeout)
    remove(container)


def remove(container: Container) -> None:
    """Save the last log lines of a container in `paths.logs_dir()` and remove it, running or not."""
    try:
        folder = paths.writable(paths.logs_dir())
        lines = container.logs(tail=_SAVED_LOG_LINES, timestamps=True)
        (folder / f"{container.name}-{container.short_id}.log").write_bytes(lines)
    except (OSError, SlipwayError) as error:
        _log.warning("the log of %s is not saved: %s", container.name, error)
    container.remove(force=True, v=True)
