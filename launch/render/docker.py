"""Print the plan as `docker run` commands to paste. With `--access guide` it is the guide's own two steps."""

from __future__ import annotations

from collections.abc import Iterator

from launch.render.comments import comments
from launch.render.shell import lines, make_folders, paired, published, quote
from launch.spec.plan import Container, Mount, Plan, Process
from launch.spec.server_name import name_of

DEBUGGING = ("SYS_PTRACE",)  # the guide writes a debugger's capabilities last


def render(plan: Plan, more: tuple[str, ...] = ()) -> str:
    """Return `docker run` for each node, with the options `more` first."""
    if plan.container.tty:
        return comments(plan) + _in_two_steps(plan, more)
    export = "# on every node first: export HEAD_IP=... IFACE_NAME=...\n\n" if len(plan.processes) > 1 else ""
    return comments(plan) + export + "\n\n".join(_one(plan, process, more) for process in plan.processes)


def _one(plan: Plan, process: Process, more: tuple[str, ...]) -> str:
    head = f"# node {process.node}: {process.role}\n" if len(plan.processes) > 1 else ""
    run = [
        ("docker", "run", "--detach"),
        *((word,) for word in more),
        *flags(plan, process),
        (plan.image,),
        *paired(plan.command(process)),
    ]
    return f"{head}{_folders(plan.container)}{lines(run)}"


def _folders(container: Container) -> str:
    command = make_folders(container)
    return f"{lines([command], ' ')}\n" if command else ""


def _in_two_steps(plan: Plan, more: tuple[str, ...]) -> str:
    """Return the guide's two steps: the container with a shell in it, then the server."""
    process = plan.processes[0]
    bare = Process(process.role, process.node, (), ())
    shell = (
        [("--entrypoint", "bash")] if plan.container.entrypoint else []
    )  # the guide's image has no ENTRYPOINT
    run = [("docker", "run"), *((word,) for word in more), *flags(plan, bare), *shell, (plan.image,)]
    start = lines(run, " ").replace(quote(_work(plan.container)), "$(pwd):/work")
    env = " \\\n".join(f"{name}={quote(value)}" for name, value in process.env)
    serve = lines(paired(process.argv))
    return f"# on the host\n{start}\n\n# in the shell of the container\n{env}{' ' if env else ''}{serve}"


def _work(container: Container) -> str:
    return next((_volume(mount) for mount in container.mounts if mount.target == "/work"), "")


def flags(plan: Plan, process: Process) -> list[tuple[str, ...]]:
    """Return the options of `docker run`, in the order of the guide's own line."""
    c = plan.container
    options: list[tuple[str, ...]] = [("-it",)] if c.tty else []
    options += [(f"--{key}={value}",) for key, value in (("ipc", c.ipc), ("network", c.network)) if value]
    options += [("--privileged",)] if c.privileged else []
    options += [(f"--cap-add={cap}",) for cap in c.cap_add if cap not in DEBUGGING]
    options += [(f"--cap-drop={cap}",) for cap in c.cap_drop]
    options += _gpus(c)
    options += [(f"--device={device}",) for device in (*c.devices, *c.cdi)]
    options += [("--group-add", group) for group in c.groups]
    options += [(f"--cap-add={cap}",) for cap in c.cap_add if cap in DEBUGGING]
    options += [("--security-opt", option) for option in c.security_opt]
    return [
        *options,
        *_sizes(c),
        *_ports_and_mounts(c),
        *[("--env-file", path) for path in c.env_files],
        *[("-e", f"{k}={v}") for k, v in plan.environment(process)],
        *[("--entrypoint", word) for word in plan.program(process)],
        ("--name", name_of(plan)),
    ]


def _gpus(container: Container) -> list[tuple[str, ...]]:
    ids = container.gpu_ids
    if not ids:
        return []
    return [("--gpus", "all" if ids == ("all",) else f'"device={",".join(ids)}"')]


def _sizes(container: Container) -> Iterator[tuple[str, ...]]:
    if container.shm_bytes:
        yield (f"--shm-size={container.shm_bytes}",)
    if container.user:
        yield (f"--user={container.user}",)
    for name, limit in container.ulimits:
        yield (f"--ulimit={name}={limit}:{limit}",)
    if container.pids_limit:
        yield (f"--pids-limit={container.pids_limit}",)
    if container.read_only:
        yield ("--read-only",)
    for tmpfs in container.tmpfs:
        yield (f"--tmpfs={tmpfs.target}:{tmpfs.options}",)


def _ports_and_mounts(container: Container) -> Iterator[tuple[str, ...]]:
    for port in container.ports:
        yield ("-p", published(port))
    for mount in container.mounts:
        yield ("-v", _volume(mount))


def _volume(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"
