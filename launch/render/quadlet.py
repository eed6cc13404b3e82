"""Print the plan as podman Quadlets (podman-systemd.unit): one .container file for each node, GPUs by CDI name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launch.render.comments import comments
from launch.render.shell import LAUNCHER_VARIABLE, make_folders
from launch.spec.plan import Container, Plan, Process

CLUSTER = "%h/.config/slipway/cluster.env"  # the launcher's variables: HEAD_IP=..., IFACE_NAME=...
PLAIN = re.compile(r"[A-Za-z0-9_./:=@+,-]+$")


def render(plan: Plan) -> str:
    """Return the files, each below its name."""
    return comments(plan, elsewhere=True) + "\n\n".join(_file(plan, process) for process in plan.processes)


def _file(plan: Plan, process: Process) -> str:
    own = plan.container.name or "slipway"
    name = own if process.role == "server" else f"{own}-{process.node}"
    lines = [
        f"# ~/.config/containers/systemd/{name}.container",
        "[Unit]",
        f"Description=vLLM {plan.model}",
        "",
        "[Container]",
        *(f"{key}={value}" for key, value in _settings(plan, process)),
        "",
        "[Service]",
        *([f"EnvironmentFile={CLUSTER}"] if len(plan.processes) > 1 else []),
        *_before(plan.container),
        "Restart=always",  # vLLM exits with 0 after its engine core has died
        "TimeoutStartSec=2700",  # time to load 230 GB and to compile at the first start
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines)


def _before(container: Container) -> Iterator[str]:
    if command := make_folders(container):
        yield f"ExecStartPre=/usr/bin/env {' '.join(map(word, command))}"


def _settings(plan: Plan, process: Process) -> Iterator[tuple[str, str]]:
    c = plan.container
    yield "Image", plan.image
    if c.name:
        yield "ContainerName", c.name
    yield from (("PodmanArgs", f"--entrypoint={program}") for program in plan.program(process))
    yield "Exec", " ".join(word(part) for part in plan.command(process))
    yield from (("EnvironmentFile", word(path)) for path in c.env_files)
    yield from (("Environment", word(f"{name}={value}")) for name, value in plan.environment(process))
    yield from _devices(c)
    yield from (("GroupAdd", group) for group in c.groups)
    yield from (("AddCapability", cap) for cap in c.cap_add)
    yield from (("DropCapability", cap.lower() if cap == "ALL" else cap) for cap in c.cap_drop)
    yield from _security(c)
    yield from _limits(c)
    yield from (("PublishPort", f"{port.host_ip}:{port.host}:{port.container}") for port in c.ports)
    for mount in c.mounts:
        source = mount.source if "/" in mount.source else f"{mount.source}.volume"
        yield "Volume", word(f"{source}:{mount.target}{':ro' if mount.read_only else ''}")


def _devices(container: Container) -> Iterator[tuple[str, str]]:
    yield from (("AddDevice", f"nvidia.com/gpu={gpu}") for gpu in container.gpu_ids)
    yield from (("AddDevice", device) for device in (*container.devices, *container.cdi))


def _security(container: Container) -> Iterator[tuple[str, str]]:
    for option in container.security_opt:
        if option == "no-new-privileges":
            yield "NoNewPrivileges", "true"
        elif option.startswith("seccomp="):
            yield "SeccompProfile", option.partition("=")[2]
        else:
            yield "PodmanArgs", f"--security-opt={option}"
    if container.privileged:
        yield "PodmanArgs", "--privileged"
    if container.ipc:
        yield "PodmanArgs", f"--ipc={container.ipc}"
    if container.tty:
        yield "PodmanArgs", "--tty --interactive"


def _limits(container: Container) -> Iterator[tuple[str, str]]:
    if container.network:
        yield "Network", container.network
    if container.user:
        user, _, group = container.user.partition(":")
        yield "User", user
        yield "Group", group
    if container.shm_bytes:
        yield "ShmSize", str(container.shm_bytes)
    yield from (("Ulimit", f"{name}={limit}:{limit}") for name, limit in container.ulimits)
    if container.pids_limit:
        yield "PidsLimit", str(container.pids_limit)
    if container.read_only:
        yield "ReadOnly", "true"
    yield from (("Tmpfs", f"{tmpfs.target}:{tmpfs.options}") for tmpfs in container.tmpfs)


def word(text: str) -> str:
    """Return one word for systemd: % and $ doubled except in the launcher's variables, quoted if needed."""
    match = LAUNCHER_VARIABLE.fullmatch(text)
    if match:
        return f"{match[1] or ''}${{{match[2]}}}"
    text = text.replace("%", "%%").replace("$", "$$")
    return text if PLAIN.match(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
