"""Parse every format back into the same facts, to compare them with the plan and with each other."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from launch.engine import create_args
from launch.render import compose, docker, kubernetes, quadlet, to_json
from launch.spec.plan import Plan, Process

BYTES, COUNT = "bytes", "count"


@dataclass(frozen=True)
class Facts:
    """What one container gets, independent of the format."""

    image: str
    argv: tuple[str, ...]
    env: frozenset[tuple[str, str]]
    devices: frozenset[str]
    groups: frozenset[str]
    caps: frozenset[str]
    dropped: frozenset[str]
    shm: int
    ports: frozenset[tuple[int, int]]
    mounts: frozenset[tuple[str, str, bool]]
    user: str
    program: tuple[str, ...]  # set as ENTRYPOINT
    privileged: bool
    safe: bool  # no-new-privileges
    read_only: bool
    tmpfs: frozenset[tuple[str, int]]  # path and size limit
    pids: int


def of_plan(plan: Plan, process: Process) -> Facts:
    c = plan.container
    return Facts(
        image=plan.image,
        argv=plan.command(process),
        env=frozenset(plan.environment(process)),
        devices=frozenset((*c.devices, *c.cdi, *(f"gpu={gpu}" for gpu in c.gpu_ids))),
        groups=frozenset(c.groups),
        caps=frozenset(c.cap_add),
        dropped=frozenset(c.cap_drop),
        shm=c.shm_bytes,
        ports=frozenset((port.host, port.container) for port in c.ports),
        mounts=frozenset((m.source, m.target, m.read_only) for m in c.mounts),
        user=c.user,
        program=plan.program(process),
        privileged=c.privileged,
        safe="no-new-privileges" in c.security_opt,
        read_only=c.read_only,
        tmpfs=frozenset((tmpfs.target, tmpfs.size_bytes) for tmpfs in c.tmpfs),
        pids=c.pids_limit,
    )


def of_json(plan: Plan, process: Process) -> Facts:
    data = json.loads(to_json(plan))
    c, p = data["container"], data["processes"][process.node]
    program = () if c["entrypoint"] or c["tty"] else tuple(p["argv"][:1])
    entrypoint = c["entrypoint"] or list(program)
    prefix, rest = p["argv"][: len(entrypoint)], p["argv"][len(entrypoint) :]
    argv = rest if prefix == entrypoint else p["argv"]
    return Facts(
        image=data["image"],
        argv=tuple(argv),
        env=frozenset({**c["env"], **p["env"]}.items()),
        devices=frozenset((*c["devices"], *c["cdi"], *(f"gpu={gpu}" for gpu in c["gpu_ids"]))),
        groups=frozenset(c["groups"]),
        caps=frozenset(c["cap_add"]),
        dropped=frozenset(c["cap_drop"]),
        shm=c["shm_bytes"],
        ports=frozenset((port["host"], port["container"]) for port in c["ports"]),
        mounts=frozenset((m["source"], m["target"], m["read_only"]) for m in c["mounts"]),
        user=c["user"],
        program=program,
        privileged=c["privileged"],
        safe="no-new-privileges" in c["security_opt"],
        read_only=c["read_only"],
        tmpfs=frozenset((tmpfs["target"], tmpfs["size_bytes"]) for tmpfs in c["tmpfs"]),
        pids=c["pids_limit"],
    )


def of_sdk(plan: Plan, process: Process) -> Facts:
    args = create_args.arguments(plan, process)
    mounts = [volume.rsplit(":", 2) for volume in args.get("volumes", [])]
    requests = args.get("device_requests", [])
    gpus = [gpu for r in requests if r["Driver"] != "cdi" for gpu in (r["DeviceIDs"] or ["all"])]
    names = [name for r in requests if r["Driver"] == "cdi" for name in r["DeviceIDs"]]
    return Facts(
        image=args["image"],
        argv=tuple(args["command"]),
        env=frozenset(args["environment"].items()),
        devices=frozenset(
            (*(d.split(":")[0] for d in args.get("devices", [])), *names, *(f"gpu={gpu}" for gpu in gpus))
        ),
        groups=frozenset(args.get("group_add", [])),
        caps=frozenset(args.get("cap_add", [])),
        dropped=frozenset(args.get("cap_drop", [])),
        shm=args.get("shm_size", 0),
        ports=frozenset((host[1], int(inner.split("/")[0])) for inner, host in args.get("ports", {}).items()),
        mounts=frozenset((source, target, mode == "ro") for source, target, mode in mounts),
        user=args.get("user", ""),
        program=tuple(args.get("entrypoint", ())),
        privileged=args.get("privileged", False),
        safe="no-new-privileges" in args.get("security_opt", []),
        read_only=args.get("read_only", False),
        tmpfs=frozenset(_tmpfs(f"{path}:{options}") for path, options in args.get("tmpfs", {}).items()),
        pids=args.get("pids_limit", 0),
    )


def _tmpfs(text: str) -> tuple[str, int]:
    """Split path:options, of which the size differs between plans."""
    path, _, options = text.partition(":")
    assert {"rw", "exec", "nosuid", "nodev", "mode=1777"} < set(options.split(","))
    return path, next(int(o.removeprefix("size=")) for o in options.split(",") if o.startswith("size="))


def of_compose(plan: Plan, process: Process) -> Facts:
    services = yaml.safe_load(compose.render(plan))["services"]
    s = list(services.values())[process.node]
    requests = s.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    gpus = [gpu for r in requests for gpu in r.get("device_ids", ["all"])]
    ports = [port.rsplit(":", 2) for port in s.get("ports", [])]
    return Facts(
        image=s["image"],
        argv=tuple(_uncompose(word) for word in s["command"]),
        env=frozenset((name, _uncompose(value)) for name, value in s["environment"].items()),
        devices=frozenset(
            (*(d.split(":")[0] for d in s.get("devices", [])), *(f"gpu={gpu}" for gpu in gpus))
        ),
        groups=frozenset(s.get("group_add", [])),
        caps=frozenset(s.get("cap_add", [])),
        dropped=frozenset(s.get("cap_drop", [])),
        shm=s.get("shm_size", 0),
        ports=frozenset((int(host), int(inner)) for _, host, inner in ports),
        mounts=frozenset(
            (_uncompose(v["source"]), v["target"], v["read_only"]) for v in s.get("volumes", [])
        ),
        user=s.get("user", ""),
        program=tuple(s.get("entrypoint", ())),
        privileged=s.get("privileged", False),
        safe="no-new-privileges" in s.get("security_opt", []),
        read_only=s.get("read_only", False),
        tmpfs=frozenset(map(_tmpfs, s.get("tmpfs", []))),
        pids=s.get("pids_limit", 0),
    )


def _uncompose(word: str) -> str:
    return re.sub(r"\$\{(\w+)\}", r"$\1", word) if word.startswith("${") else word.replace("$$", "$")


def of_docker(plan: Plan, process: Process) -> Facts:
    """Return the facts in `docker run`, split as a shell splits it."""
    blocks = re.split(r"^docker run ", docker.render(plan), flags=re.M)[1:]
    text = re.split(r"\n\n# |\nmkdir ", blocks[process.node])[0] + "\n"
    words = _words(text)
    options, rest = _docker_options(words)
    env = dict(pair.split("=", 1) for pair in options.pop("-e", []))
    argv, extra = tuple(rest[1:]), {}
    if plan.container.tty:  # the guide's second step
        serve = _words(docker.render(plan).split("# in the shell of the container\n")[1])
        start = serve.index("vllm")
        argv, extra = tuple(serve[start:]), dict(pair.split("=", 1) for pair in serve[:start])
    gpus = [
        gpu
        for value in options.pop("--gpus", [])
        for gpu in value.strip('"').removeprefix("device=").split(",")
    ]
    mounts = [(volume + ":rw").split(":")[:3] for volume in options.pop("-v", [])]
    return Facts(
        image=rest[0],
        argv=argv,
        env=frozenset({**env, **extra}.items()),
        devices=frozenset((*options.pop("--device", []), *(f"gpu={gpu}" for gpu in gpus))),
        groups=frozenset(options.pop("--group-add", [])),
        caps=frozenset(options.pop("--cap-add", [])),
        dropped=frozenset(options.pop("--cap-drop", [])),
        shm=int(options.pop("--shm-size", [0])[0]),
        ports=frozenset(_ports(options.pop("-p", []))),
        mounts=frozenset(
            (s.replace("$(pwd)", plan.container.mounts[0].source), t, m == "ro") for s, t, m in mounts
        ),
        user=options.pop("--user", [""])[0],
        program=tuple(options.pop("--entrypoint", ())),
        privileged="--privileged" in options,
        safe="no-new-privileges" in options.get("--security-opt", []),
        read_only="--read-only" in options,
        tmpfs=frozenset(map(_tmpfs, options.pop("--tmpfs", []))),
        pids=int(options.pop("--pids-limit", [0])[0]),
    )


def _ports(mappings: list[str]) -> list[tuple[int, int]]:
    """Split address:outer:inner."""
    parts = (mapping.split(":") for mapping in mappings)
    return [(int(outer), int(inner)) for _, outer, inner in parts]


def _words(text: str) -> list[str]:
    """Split as a shell does; shlex does not join continued lines."""
    return shlex.split(text.replace("\\\n", ""))


SWITCHES = ("--detach", "-it", "--privileged", "--read-only")


def _docker_options(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    index = 0
    while words[index].startswith("-"):
        name, equals, value = words[index].partition("=")
        if name not in SWITCHES and not equals:
            index += 1
            value = words[index]
        options.setdefault(name, []).append(value)
        index += 1
    return options, words[index:]


def of_quadlet(plan: Plan, process: Process) -> Facts:
    text = list(quadlet.files(plan).values())[process.node]
    settings: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        settings.setdefault(key, []).append(value)
    env = [_systemd(value)[0].split("=", 1) for value in settings["Environment"]]
    devices = settings.get("AddDevice", [])
    if not plan.container.cdi:  # podman passes every NVIDIA GPU by CDI name
        devices = [d.replace("nvidia.com/gpu", "gpu") for d in devices]
    volumes = [(_expanded(volume) + ":rw").split(":")[:3] for volume in settings["Volume"]]
    args = [_systemd(value)[0] for value in settings.get("PodmanArgs", [])]
    groups = [arg.partition("=")[2] for arg in args if arg.startswith("--group-add=")]
    if groups == ["keep-groups"]:  # the caller's own, in a user's own namespace
        groups = list(plan.container.groups)
        assert settings["UserNS"] == ["keep-id"]
    return Facts(
        image=settings["Image"][0],
        argv=tuple(_systemd(settings["Exec"][0])),
        env=frozenset((name, value) for name, value in env),
        devices=frozenset(devices),
        groups=frozenset(groups),
        caps=frozenset(settings.get("AddCapability", [])),
        dropped=frozenset(cap.upper() for cap in settings.get("DropCapability", [])),
        shm=int(settings.get("ShmSize", ["0"])[0]),
        ports=frozenset(_ports(settings.get("PublishPort", []))),
        mounts=frozenset((s, t, mode == "ro") for s, t, mode in volumes),
        user=f"{settings['User'][0]}:{settings['Group'][0]}" if "User" in settings else "",
        program=tuple(arg.partition("=")[2] for arg in args if arg.startswith("--entrypoint=")),
        privileged="--privileged" in args,
        safe=settings.get("NoNewPrivileges") == ["true"],
        read_only=settings.get("ReadOnly") == ["true"],
        tmpfs=frozenset(map(_tmpfs, settings.get("Tmpfs", []))),
        pids=int(settings.get("PidsLimit", ["0"])[0]),
    )


def _systemd(text: str) -> list[str]:
    """Split a line of a unit file: undo quotes with backslashes, %% and $$; keep ${NAME} as a variable."""
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    words = [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in parts]
    return [_expanded(word) for word in words]


def _expanded(text: str) -> str:
    undone = {"$$": "$", "%%": "%"}
    return re.sub(r"\$\$|%%|\$\{(\w+)\}", lambda m: undone.get(m[0], f"${m[1]}"), text)


def of_kubernetes(plan: Plan, process: Process) -> Facts:
    """Return the facts in a cluster: GPUs are a count, and ports are those of the Service."""
    text = kubernetes.render(plan)
    workload, service = yaml.safe_load_all(text)
    pod = _pod(workload["spec"], process)
    c = pod["containers"][0]
    security = {**pod["securityContext"], **c["securityContext"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    places = [(volumes[mount["name"]], mount) for mount in c["volumeMounts"]]
    users = (security.get("runAsUser"), security.get("runAsGroup"))
    return Facts(
        image=c["image"],
        argv=tuple(_uncluster(word) for word in c["args"]),
        env=frozenset((e["name"], _uncluster(e["value"])) for e in c["env"]),
        devices=frozenset(
            [f"{name}={count}" for name, count in c["resources"]["limits"].items() if "/" in name]
            + [volume["hostPath"]["path"] for name, volume in volumes.items() if name.startswith("device")]
        ),
        groups=frozenset(str(group) for group in security.get("supplementalGroups", [])),
        caps=frozenset(security["capabilities"].get("add", [])),
        dropped=frozenset(security["capabilities"].get("drop", [])),
        shm=next((int(v["emptyDir"]["sizeLimit"]) for v in pod["volumes"] if v["name"] == "shm"), 0),
        ports=frozenset((port["port"], port["targetPort"]) for port in service["spec"]["ports"]),
        mounts=frozenset(
            (_source(volume), mount["mountPath"], mount.get("readOnly", False))
            for volume, mount in places
            if mount["name"].startswith("mount")
        ),
        user=":".join(str(number) for number in users) if users != (None, None) else "",
        program=tuple(c.get("command", ())),
        privileged=security.get("privileged", False),
        safe=security.get("allowPrivilegeEscalation") is False,
        read_only=security.get("readOnlyRootFilesystem", False),
        tmpfs=frozenset(
            (mount["mountPath"], int(volume["emptyDir"]["sizeLimit"]))
            for volume, mount in places
            if mount["name"].startswith("tmpfs")
        ),
        pids=int((re.findall(r"podPidsLimit: (\d+)", text) or ["0"])[0]),
    )


def _pod(spec: dict[str, Any], process: Process) -> Any:
    if "template" in spec:
        return spec["template"]["spec"]
    return spec["leaderWorkerTemplate"]["workerTemplate" if process.node else "leaderTemplate"]["spec"]


def _source(volume: dict[str, Any]) -> str:
    if "emptyDir" in volume:
        return "empty"
    if "hostPath" in volume:
        return str(volume["hostPath"]["path"])
    return str(volume["persistentVolumeClaim"]["claimName"])


def _uncluster(word: str) -> str:
    variables = {"$(LWS_LEADER_ADDRESS)": "$HEAD_IP", "eth0": "$IFACE_NAME"}
    return variables.get(word, word.replace("$$", "$"))
