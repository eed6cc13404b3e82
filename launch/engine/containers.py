"""One plan as one container: created with exactly the access of the plan, checked after the start, taken away.

`--rm` never: what a dead server said is the evidence. Its log is saved in `paths.logs_dir()` when it is removed.
"""

from __future__ import annotations

import errno
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errors import Failed, Refused, SlipwayError
from launch import paths
from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from launch.engine.client import LABEL
from launch.engine.limits import Limits
from launch.engine.verify_access import check_access
from launch.serving import api_key
from launch.spec.plan import Plan

_log = logging.getLogger(__name__)


def name_of(plan: Plan) -> str:
    """The container's name: the plan's own, else one made from the model."""
    return plan.container.name or name_for(plan.model)


def name_for(model: str) -> str:
    """The name of a model's container."""
    return "slipway-" + re.sub(r"[^a-z0-9.]+", "-", model.rpartition("/")[2].lower())


def url_of(plan: Plan) -> str:
    """Where the server answers on this host."""
    if not plan.container.ports:  # the host's own network: the server's own port
        argv = plan.processes[0].argv
        return f"http://127.0.0.1:{argv[argv.index('--port') + 1] if '--port' in argv[:-1] else 8000}"
    port = plan.container.ports[0]
    address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.host_ip, port.host_ip)
    return f"http://{f'[{address}]' if ':' in address else address}:{port.host}"


def start(
    client: Any, plan: Plan, limits: Limits | None = None, *, replace: bool = False
) -> tuple[Any, bool]:
    """The container of a plan, and whether it was started now. The same plan already running is left alone.

    Raises Refused for another plan or a stranger's container under that name and for a taken port; Failed, with
    a diagnosis, where the engine cannot start it or did not grant what the plan needs.
    """
    name = name_of(plan)
    there = _there(client, name)
    if there is not None and _keep(there, plan, replace):
        return there, False
    given = _arguments(plan, name, limits or Limits(), client.images.get(plan.image).id)
    _refuse_taken(plan, _ports_of(there))
    if there is not None:  # nothing is ended before what can be checked is checked
        stop(there)
    _make_folders(plan)
    with _told(name):
        container = client.containers.create(**given)
    try:
        with _told(name):
            container.start()
        check_access(client, container, plan)
    except Failed:
        container.remove(force=True)
        raise
    return container, True


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the engine says against a container, as a failure with its cause where that is known."""
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        said = str(error.explanation or error)
        found = diagnose(DiagnosisInput(engine_error=said))
        cause = f": {found.cause}" if found.known else ""
        fix = found.fix if found.known else "invoke doctor shows what this host lacks"
        raise Failed(f"the engine could not start {name}{cause}", why=said[:500], fix=fix) from None


def _make_folders(plan: Plan) -> None:
    """Folders to be written to, which the engine would make as root's."""
    for mount in plan.container.mounts:
        if not mount.read_only and mount.source.startswith("/"):
            Path(mount.source).mkdir(parents=True, exist_ok=True)


def _arguments(plan: Plan, name: str, limits: Limits, image_id: str) -> dict[str, Any]:
    from launch.engine import create_args

    labels = {
        LABEL: plan.digest,
        "slipway.model": plan.model,
        "slipway.image": plan.image,
        "slipway.image_id": image_id,
        "slipway.url": url_of(plan),
        "slipway.vllm": plan.vllm_version,
        "slipway.strategy": plan.strategy,
        "slipway.key": ",".join(plan.container.env_files),
        "slipway.gpus": ",".join(plan.container.gpu_ids or plan.container.cdi or plan.container.devices),
    }
    logs = {"type": "json-file", "config": {"max-size": "100m", "max-file": "3"}}
    secret = {
        k: v for path in plan.container.env_files for k, v in api_key.read_variables(Path(path)).items()
    }
    if plan.container.env_files and not secret.get(api_key.NAMES[0]):
        raise Failed("an open port asks for an API key, and there is none", fix="invoke run makes one")
    given = create_args.arguments(plan, plan.processes[0])
    given["environment"] = {**given.get("environment", {}), **secret}
    own = {"name": name, "labels": labels, "log_config": logs, "detach": True}
    return {**given, **limits.arguments(), **own}


def _there(client: Any, name: str) -> Any:
    from docker.errors import NotFound

    try:
        return client.containers.get(name)
    except NotFound:
        return None


def runs(client: Any, plan: Plan) -> bool:
    """Whether this very plan runs already: then it needs no image and no weights any more."""
    there = _there(client, name_of(plan))
    return there is not None and there.status == "running" and there.labels.get(LABEL) == plan.digest


def _keep(there: Any, plan: Plan, replace: bool) -> bool:
    """Whether what has our name is what we want. Raises Refused if it is a stranger's or another plan."""
    known = there.labels.get(LABEL)
    if known is None:
        raise Refused(
            f"a container called {there.name} exists and is not ours", fix=f"docker rename {there.name} OTHER"
        )
    if there.status == "paused" and not replace:
        raise Refused(f"{there.name} is paused", fix=f"docker unpause {there.name}, or --replace")
    if there.status not in ("running", "paused"):
        return False
    if known == plan.digest and not replace:
        return True
    if not replace:
        raise Refused(
            f"{there.name} already runs another plan ({known}, this one is {plan.digest})",
            fix="--replace stops it first, or invoke stop",
        )
    return False


def _ports_of(container: Any) -> set[int]:
    """Ports of this host that a running container of ours gives back when it is replaced."""
    bound = container.attrs["NetworkSettings"]["Ports"] if container is not None else {}
    return {int(host["HostPort"]) for hosts in (bound or {}).values() for host in hosts or ()}


def _refuse_taken(plan: Plan, ours: set[int]) -> None:
    for port in plan.container.ports:
        if port.host not in ours and _is_taken(port.host_ip, port.host):
            free = port.host + 1 if port.host < 65535 else 8000
            raise Refused(
                f"port {port.host} on {port.host_ip or 'this host'} is taken",
                fix=f"--port {free}, or see who has it: ss -ltnp sport = :{port.host}",
            )


def _is_taken(address: str, port: int) -> bool:
    """Whether somebody listens there. What only root may bind is the engine's affair."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address or "0.0.0.0", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def stop(container: Any, timeout: int = 30) -> None:
    """Ask it to finish, wait, and take it away; after `timeout` seconds it is killed."""
    if container.status == "running":
        container.stop(timeout=timeout)
    remove(container)


def remove(container: Any) -> None:
    """Save the last log lines of a container in `paths.logs_dir()` and remove it, running or not."""
    try:
        folder = paths.writable(paths.logs_dir())
        lines = container.logs(tail=20000, timestamps=True)
        (folder / f"{container.name}-{container.short_id}.log").write_bytes(lines)
    except (OSError, SlipwayError) as error:
        _log.warning("the log of %s is not saved: %s", container.name, error)
    container.remove(force=True, v=True)
