"""One plan as one container: created with exactly the access of the plan, checked after the start, taken away.

`--rm` never: what a dead server said is the evidence. Its last words are kept under results/logs/ when it goes.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from launch import api_key
from launch.diagnose import Evidence, diagnose
from launch.engine import LABEL, execute
from launch.plan import Plan

RESTARTS = ("no", "on-failure", "unless-stopped", "always")


@dataclass(frozen=True)
class Limits:
    """What the host grants beside the plan. `memory` is what the engine understands ("64g"); "" and 0 are none."""

    memory: str = ""
    pids: int = 0
    restart: str = "no"

    def arguments(self) -> dict[str, Any]:
        """For the docker SDK; a server that may not swap is ended by its limit and not by its slowness."""
        found: dict[str, Any] = {"restart_policy": {"Name": self.restart}} if self.restart != "no" else {}
        if self.memory:
            found |= {"mem_limit": self.memory, "memswap_limit": self.memory}
        return found | ({"pids_limit": self.pids} if self.pids else {})


def name_of(plan: Plan) -> str:
    """The container's name: the plan's own, else one made from the model."""
    return plan.container.name or name_for(plan.model)


def name_for(model: str) -> str:
    """The name of a model's container."""
    return "slipway-" + re.sub(r"[^a-z0-9.]+", "-", model.rpartition("/")[2].lower())


def url_of(plan: Plan) -> str:
    """Where the server answers on this host."""
    port = plan.container.ports[0] if plan.container.ports else None
    if not port:
        return "http://127.0.0.1:8000"
    return f"http://{'127.0.0.1' if port.host_ip in ('', '0.0.0.0') else port.host_ip}:{port.host}"


def start(
    client: Any, plan: Plan, limits: Limits | None = None, *, replace: bool = False
) -> tuple[Any, bool]:
    """The container of a plan, and whether it was started now. The same plan already running is left alone.

    Raises Refused for another plan or a stranger's container under that name and for a taken port; Failed, with
    a diagnosis, where the engine cannot start it or did not grant what the plan needs.
    """
    name = name_of(plan)
    if (there := _there(client, name)) is not None:
        if _keep(there, plan, replace):
            return there, False
        stop(there)
    _refuse_taken(plan)
    _make_folders(plan)
    container = client.containers.create(**_arguments(plan, name, limits or Limits()))
    try:
        _begin(container, name)
        check_access(client, container, plan)
    except Failed:
        container.remove(force=True)
        raise
    return container, True


def _begin(container: Any, name: str) -> None:
    from docker.errors import APIError

    try:
        container.start()
    except APIError as error:
        said = str(error.explanation or error)
        found = diagnose(Evidence(engine_error=said))
        cause = f": {found.cause}" if found.known else ""
        fix = found.cure or "invoke doctor shows what this host lacks"
        raise Failed(f"the engine could not start {name}{cause}", why=said[:500], fix=fix) from None


def check_access(client: Any, container: Any, plan: Plan) -> None:
    """Whether the engine granted what the plan needs: podman ignores device requests without a word."""
    container.reload()
    if container.status != "running":
        return  # it ended at once; its log tells more than its devices
    if plan.container.shm_bytes and container.attrs["HostConfig"].get("ShmSize") != plan.container.shm_bytes:
        raise Failed(f"{container.name} has another /dev/shm than planned", fix="invoke doctor")
    wanted = [path for path in plan.container.devices if path.startswith("/dev/dri/render")]
    if not (wanted or plan.container.gpu_ids or plan.container.cdi):
        return
    status, said = execute(client, container, ["ls", "/dev", "/dev/dri"])
    seen = set(said.split())
    missing = [path for path in wanted if path.rpartition("/")[2] not in seen]
    nvidia = any(re.fullmatch(r"nvidia\d+", name) for name in seen)
    if missing or (plan.container.gpu_ids and not nvidia and status != 127):
        raise Failed(
            f"{container.name} started without its GPUs",
            why=f"missing inside: {', '.join(missing) or '/dev/nvidia*'}; an engine may ignore device requests",
            fix="use CDI (nvidia-ctk cdi generate) or Docker with the NVIDIA container toolkit; invoke doctor",
        )


def _make_folders(plan: Plan) -> None:
    """Folders to be written to, which the engine would make as root's."""
    for mount in plan.container.mounts:
        if not mount.read_only and mount.source.startswith("/"):
            Path(mount.source).mkdir(parents=True, exist_ok=True)


def _arguments(plan: Plan, name: str, limits: Limits) -> dict[str, Any]:
    from launch.render import sdk

    labels = {
        LABEL: plan.digest,
        "slipway.model": plan.model,
        "slipway.image": plan.image,
        "slipway.url": url_of(plan),
        "slipway.vllm": plan.vllm_version,
        "slipway.strategy": plan.strategy,
        "slipway.key": ",".join(plan.container.env_files),
        "slipway.gpus": ",".join(plan.container.gpu_ids or plan.container.devices),
    }
    logs = {"type": "json-file", "config": {"max-size": "100m", "max-file": "3"}}
    secret = {k: v for path in plan.container.env_files for k, v in api_key.variables(Path(path)).items()}
    given = sdk.arguments(plan, plan.processes[0])
    given["environment"] = {**given.get("environment", {}), **secret}
    own = {"name": name, "labels": labels, "log_config": logs, "detach": True}
    return {**given, **limits.arguments(), **own}


def _there(client: Any, name: str) -> Any:
    from docker.errors import NotFound

    try:
        return client.containers.get(name)
    except NotFound:
        return None


def _keep(there: Any, plan: Plan, replace: bool) -> bool:
    """Whether what has our name is what we want. Raises Refused if it is a stranger's or another plan."""
    known = there.labels.get(LABEL)
    if known is None:
        raise Refused(
            f"a container called {there.name} exists and is not ours", fix=f"docker rename {there.name} OTHER"
        )
    if there.status != "running":
        return False
    if known == plan.digest and not replace:
        return True
    if not replace:
        raise Refused(
            f"{there.name} already runs another plan ({known}, this one is {plan.digest})",
            fix="--replace stops it first, or invoke stop",
        )
    return False


def _refuse_taken(plan: Plan) -> None:
    for port in plan.container.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host_ip or "0.0.0.0", port.host))
            except OSError as error:
                raise Refused(
                    f"port {port.host} on {port.host_ip or 'this host'} is taken",
                    why=str(error.strerror),
                    fix=f"--port {port.host + 1}, or see who has it: ss -ltnp sport = :{port.host}",
                ) from None


def stop(container: Any, timeout: int = 30) -> None:
    """Ask it to finish, wait, and take it away; after `timeout` seconds it is killed."""
    if container.status == "running":
        container.stop(timeout=timeout)
    remove(container)


def remove(container: Any) -> None:
    """Take a container of ours away, running or not, keeping what it said last under results/logs/."""
    folder = Path("results/logs")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{container.name}-{container.short_id}.log").write_bytes(
        container.logs(tail=20000, timestamps=True)
    )
    container.remove(force=True, v=True)
