"""Print the plan as podman Quadlets (podman-systemd.unit): one .container file for each node, GPUs by CDI name.

Every key exists from podman 4.8 on. `GroupAdd` is newer (5.1), so groups are passed by `PodmanArgs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from errors import Refused
from launch.render.comments import comments
from launch.render.health import INTERVAL, RETRIES, TIMEOUT, health_command, start_seconds, startup_command
from launch.render.shell import LAUNCHER_VARIABLE, make_folders, published
from launch.spec.plan import Container, Plan, Process

FOLDER, SYSTEM_FOLDER = "~/.config/containers/systemd", "/etc/containers/systemd"
CLUSTER = "%h/.config/slipway/cluster.env"  # the launcher's variables: HEAD_IP=..., IFACE_NAME=...
PLAIN = re.compile(r"[A-Za-z0-9_./:=@+,-]+")
KEEP_GROUPS = (
    "# the user must be a member of the groups {groups}: keep-groups passes them on, with the runtime crun\n"
)

Settings = Iterator[tuple[str, str]]


def render(plan: Plan) -> str:
    """Return the files, one below the other. Each begins with its path."""
    return "\n\n".join(files(plan).values())


def files(plan: Plan) -> dict[str, str]:
    """Return the text of each file by its name. Raises Refused for a value that a unit file cannot express."""
    names = [_file_name(plan, process) for process in plan.processes]
    return {name: _file(plan, process, name) for name, process in zip(names, plan.processes, strict=True)}


def _file_name(plan: Plan, process: Process) -> str:
    own = plan.container.name or "slipway"
    return f"{own if process.role == 'server' else f'{own}-{process.node}'}.container"


def _file(plan: Plan, process: Process, name: str) -> str:
    several = len(plan.processes) > 1
    lines = [
        "[Unit]",
        f"Description=vLLM {_text(plan.model)}",
        "",
        "[Container]",
        *(f"{key}={value}" for key, value in _settings(plan, process)),
        "",
        "[Service]",
        *([f"EnvironmentFile={CLUSTER}"] if several else []),
        *_before(plan.container),
        "Restart=always",  # vLLM exits with 0 after its engine core has died
        f"TimeoutStartSec={start_seconds(plan)}",  # a first start also pulls the image
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return f"# {_path(plan.container, name)}\n{_comments(plan)}" + "\n".join(lines)


def _path(container: Container, name: str) -> str:
    """Return where the file belongs. A container of uid 0 is root's, or with `--access profiling` a user's."""
    own = f"{FOLDER}/{name}"
    return own if _is_rootless(container) else f"{SYSTEM_FOLDER}/{name} for root, {own} for a user"


def _comments(plan: Plan) -> str:
    groups = plan.container.groups
    needed = KEEP_GROUPS.format(groups=" ".join(groups)) if groups and _is_rootless(plan.container) else ""
    return comments(plan, elsewhere=True) + needed


def _before(container: Container) -> Iterator[str]:
    if command := make_folders(container):
        yield f"ExecStartPre=/usr/bin/env {' '.join(map(word, command))}"


def _settings(plan: Plan, process: Process) -> Settings:
    c = plan.container
    yield "Image", _text(plan.image)
    if c.name:
        yield "ContainerName", c.name
    yield from (("PodmanArgs", word(f"--entrypoint={program}")) for program in plan.program(process))
    yield "Exec", " ".join(_exec_word(part) for part in plan.command(process))
    yield from (("EnvironmentFile", word(path)) for path in c.env_files)
    yield from (("Environment", word(f"{name}={value}")) for name, value in plan.environment(process))
    yield from _devices(c)
    yield from _groups(c)
    yield from (("AddCapability", word(cap)) for cap in c.cap_add)
    yield from (("DropCapability", word(cap.lower() if cap == "ALL" else cap)) for cap in c.cap_drop)
    yield from _security(c)
    yield from _limits(c)
    yield from (("PublishPort", published(port)) for port in c.ports)
    for mount in c.mounts:
        yield "Volume", _text(f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}")
    yield from _health(plan, process)


def _health(plan: Plan, process: Process) -> Settings:
    """Yield the checks. The first one holds the other back until the server answers, and never ends a start.

    systemd starts the container again after podman has killed it.
    """
    command = health_command(plan, process)
    if not command or plan.container.tty:
        return
    yield "HealthStartupCmd", _text(json.dumps(startup_command(plan, process)))
    yield "HealthStartupInterval", f"{INTERVAL}s"
    yield "HealthStartupTimeout", f"{TIMEOUT}s"
    yield "HealthStartupRetries", "0"  # no limit
    yield "HealthCmd", _text(json.dumps(command))
    yield "HealthInterval", f"{INTERVAL}s"
    yield "HealthTimeout", f"{TIMEOUT}s"
    yield "HealthRetries", str(RETRIES)
    yield "HealthOnFailure", "kill"


def _devices(container: Container) -> Settings:
    yield from (("AddDevice", word(f"nvidia.com/gpu={gpu}")) for gpu in container.gpu_ids)
    yield from (("AddDevice", word(device)) for device in (*container.devices, *container.cdi))


def _groups(container: Container) -> Settings:
    """Yield the groups. In a user's own namespace a number is another group, so the user's groups are kept."""
    if container.groups and _is_rootless(container):
        yield "PodmanArgs", "--group-add=keep-groups"
        return
    yield from (("PodmanArgs", word(f"--group-add={group}")) for group in container.groups)


def _is_rootless(container: Container) -> bool:
    """Return whether a user other than root owns the unit: the container has the uid of the user who planned it."""
    return container.user.partition(":")[0] not in ("", "0")


def _security(container: Container) -> Settings:
    for option in container.security_opt:
        if option == "no-new-privileges":
            yield "NoNewPrivileges", "true"
        elif option.startswith("seccomp="):
            yield "SeccompProfile", _text(option.partition("=")[2])
        else:
            yield "PodmanArgs", word(f"--security-opt={option}")
    if container.privileged:
        yield "PodmanArgs", "--privileged"
    if container.ipc:
        yield "PodmanArgs", word(f"--ipc={container.ipc}")
    if container.tty:
        yield "PodmanArgs", "--tty --interactive"


def _limits(container: Container) -> Settings:
    if container.network:
        yield "Network", _text(container.network)
    if container.user:
        user, _, group = container.user.partition(":")
        yield "User", user
        yield "Group", group
    if _is_rootless(container):  # else this uid is another one on the host, which cannot write the cache
        yield "UserNS", "keep-id"
    if container.shm_bytes:
        yield "ShmSize", str(container.shm_bytes)
    yield from (("Ulimit", f"{name}={limit}:{limit}") for name, limit in container.ulimits)
    if container.pids_limit:
        yield "PidsLimit", str(container.pids_limit)
    if container.read_only:
        yield "ReadOnly", "true"
    yield from (("Tmpfs", f"{tmpfs.target}:{tmpfs.options}") for tmpfs in container.tmpfs)


def word(text: str) -> str:
    """Return a value for a key that podman splits: % and $ doubled except in the launcher's variables, quoted."""
    match = LAUNCHER_VARIABLE.fullmatch(text)
    if match:
        return f"{match[1] or ''}${{{match[2]}}}"
    text = _doubled(text)
    return text if PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _exec_word(text: str) -> str:
    """Return a part of a command. Raises Refused for the two that podman's generator passes on wrongly."""
    if text in ("", ";"):
        why = "podman's generator ends a command at an empty word, and writes ; without quotes"
        raise Refused(
            f"a Quadlet unit cannot have the word '{text}' in a command", why=why, fix="--format compose"
        )
    return word(text)


def _text(text: str) -> str:
    """Return a value for a key that podman does not split. Raises Refused for one that a line cannot hold."""
    if text.endswith("\\") or text != text.strip():
        why = "it begins or ends with a blank, or ends with a backslash, which joins two lines"
        raise Refused(f"a Quadlet unit cannot have the value '{text}'", why=why, fix="--format compose")
    return _doubled(text)


def _doubled(text: str) -> str:
    """Double what systemd expands."""
    return text.replace("%", "%%").replace("$", "$$")
