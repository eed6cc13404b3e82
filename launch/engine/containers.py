"""Run one plan as one container: create it with exactly the plan's access, verify it, stop and remove it.

A container is never started with `--rm`, because the log of a server that died is the evidence for a diagnosis.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import Failed, Refused, SlipwayError
from launch import paths
from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from launch.engine import create_args, env_file, ports
from launch.engine.limits import Limits
from launch.engine.servers import LABEL
from launch.engine.verify_access import check_access
from launch.spec.plan import Plan

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_log = logging.getLogger(__name__)
_SAVED_LOG_LINES = 20_000


def name_of(plan: Plan) -> str:
    """Return the container's name: the plan's own, else one made from the model."""
    return plan.container.name or name_for(plan.model)


def name_for(model: str) -> str:
    """Return the name of a model's container."""
    return "slipway-" + re.sub(r"[^a-z0-9.]+", "-", model.rpartition("/")[2].lower())


def url_of(plan: Plan) -> str:
    """Return the URL of the server on this host."""
    if not plan.container.ports:  # the container has the host's network, so the server's own port counts
        argv = plan.processes[0].argv
        return f"http://127.0.0.1:{argv[argv.index('--port') + 1] if '--port' in argv[:-1] else 8000}"
    port = plan.container.ports[0]
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.host_ip, port.host_ip)
    return f"http://{f'[{address}]' if ':' in address else address}:{port.host}"


def start(
    client: DockerClient, plan: Plan, limits: Limits | None = None, *, replace: bool = False
) -> tuple[Container, bool]:
    """Return the plan's container, and whether it was started now. A running container of the same plan is kept.

    Raises Refused if the name or a port is taken. Raises Failed, with a diagnosis, if the engine cannot start the
    container or does not grant the plan's access.
    """
    name = name_of(plan)
    existing = _find(client, name)
    if existing is not None and _is_kept(existing, plan, replace):
        return existing, False
    arguments = _arguments(plan, name, limits or Limits(), str(client.images.get(plan.image).id))
    ports.refuse_taken(plan, except_for=ports.held_by(existing))
    if existing is not None:  # stopped only after all checks
        stop(existing)
    _make_folders(plan)
    with _diagnosed(name):
        container = client.containers.create(**arguments)
    try:
        with _diagnosed(name):
            container.start()
        check_access(client, container, plan)
    except Failed:
        container.remove(force=True)
        raise
    return container, True


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


def _arguments(plan: Plan, name: str, limits: Limits, image_id: str) -> dict[str, Any]:
    planned = plan.container
    labels = {
        LABEL: plan.digest,
        "slipway.model": plan.model,
        "slipway.image": plan.image,
        "slipway.image_id": image_id,
        "slipway.url": url_of(plan),
        "slipway.vllm": plan.vllm_version,
        "slipway.strategy": plan.strategy,
        "slipway.key": ",".join(planned.env_files),
        "slipway.gpus": ",".join(planned.gpu_ids or planned.cdi or planned.devices),
    }
    logs = {"type": "json-file", "config": {"max-size": "100m", "max-file": "3"}}
    arguments = create_args.arguments(plan, plan.processes[0])
    arguments["environment"] = {**arguments.get("environment", {}), **_secrets(planned.env_files)}
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


def runs(client: DockerClient, plan: Plan) -> bool:
    """Return whether the same plan runs already; then neither image nor weights are needed."""
    container = _find(client, name_of(plan))
    return (
        container is not None and container.status == "running" and container.labels.get(LABEL) == plan.digest
    )


def _is_kept(existing: Container, plan: Plan, replace: bool) -> bool:
    """Return whether the existing container of that name runs the plan. Raises Refused if it must not be replaced."""
    name, digest = existing.name, existing.labels.get(LABEL)
    if digest is None:
        raise Refused(
            f"a container named '{name}' exists that Slipway did not start", fix=f"docker rename {name} OTHER"
        )
    if replace or existing.status not in ("running", "paused"):
        return False
    if existing.status == "paused":
        raise Refused(f"{name} is paused", fix=f"docker unpause {name}, or --replace")
    if digest != plan.digest:
        raise Refused(
            f"{name} runs another plan ({digest}, this one is {plan.digest})",
            fix="stop it with `invoke stop`, or pass --replace",
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
