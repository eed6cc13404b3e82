"""Every rendering read back into the same facts, to be compared with the plan and with one another."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from launch.engine import create_args
from launch.render import compose, docker, kubernetes, quadlet
from launch.render import json as as_json
from launch.spec.plan import Plan, Process

BYTES, COUNT = "bytes", "count"


@dataclass(frozen=True)
class Facts:
    """What one container gets, in no format's words."""

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
    )


def of_json(plan: Plan, process: Process) -> Facts:
    data = json.loads(as_json.render(plan))
    c, p = data["container"], data["processes"][process.node]
    program = () if c["entrypoint"] or c["tty"] else tuple(p["argv"][:1])
    own = c["entrypoint"] or list(program)
    argv = p["argv"][len(own) :] if p["argv"][: len(own)] == own else p["argv"]
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
    )


def of_sdk(plan: Plan, process: Process) -> Facts:
    given = create_args.arguments(plan, process)
    mounts = [volume.rsplit(":", 2) for volume in given.get("volumes", [])]
    requests = given.get("device_requests", [])
    gpus = [gpu for r in requests if r["Driver"] != "cdi" for gpu in (r["DeviceIDs"] or ["all"])]
    names = [name for r in requests if r["Driver"] == "cdi" for name in r["DeviceIDs"]]
    return Facts(
        image=given["image"],
        argv=tuple(given["command"]),
        env=frozenset(given["environment"].items()),
        devices=frozenset(
            (*(d.split(":")[0] for d in given.get("devices", [])), *names, *(f"gpu={gpu}" for gpu in gpus))
        ),
        groups=frozenset(given.get("group_add", [])),
        caps=frozenset(given.get("cap_add", [])),
        dropped=frozenset(given.get("cap_drop", [])),
        shm=given.get("shm_size", 0),
        ports=frozenset(
            (host[1], int(inner.split("/")[0])) for inner, host in given.get("ports", {}).items()
        ),
        mounts=frozenset((source, target, mode == "ro") for source, target, mode in mounts),
        user=given.get("user", ""),
        program=tuple(given.get("entrypoint", ())),
        privileged=given.get("privileged", False),
        safe="no-new-privileges" in given.get("security_opt", []),
    )


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
        mounts=frozenset((v["source"], v["target"], v["read_only"]) for v in s.get("volumes", [])),
        user=s.get("user", ""),
        program=tuple(s.get("entrypoint", ())),
        privileged=s.get("privileged", False),
        safe="no-new-privileges" in s.get("security_opt", []),
    )


def _uncompose(word: str) -> str:
    return re.sub(r"\$\{(\w+)\}", r"$\1", word) if word.startswith("${") else word.replace("$$", "$")


def of_docker(plan: Plan, process: Process) -> Facts:
    """The words of `docker run`, as a shell gives them to docker."""
    blocks = re.split(r"^docker run ", docker.render(plan), flags=re.M)[1:]
    text = re.split(r"\n\n# |\nmkdir ", blocks[process.node])[0] + "\n"
    words = _words(text)
    found, rest = _docker_options(words)
    env = dict(pair.split("=", 1) for pair in found.pop("-e", []))
    argv, extra = tuple(rest[1:]), {}
    if plan.container.tty:  # the guide's second step
        serve = _words(docker.render(plan).split("# in the shell of the container\n")[1])
        start = serve.index("vllm")
        argv, extra = tuple(serve[start:]), dict(pair.split("=", 1) for pair in serve[:start])
    gpus = [
        gpu
        for value in found.pop("--gpus", [])
        for gpu in value.strip('"').removeprefix("device=").split(",")
    ]
    mounts = [(volume + ":rw").split(":")[:3] for volume in found.pop("-v", [])]
    return Facts(
        image=rest[0],
        argv=argv,
        env=frozenset({**env, **extra}.items()),
        devices=frozenset((*found.pop("--device", []), *(f"gpu={gpu}" for gpu in gpus))),
        groups=frozenset(found.pop("--group-add", [])),
        caps=frozenset(found.pop("--cap-add", [])),
        dropped=frozenset(found.pop("--cap-drop", [])),
        shm=int(found.pop("--shm-size", [0])[0]),
        ports=frozenset(tuple(map(int, port.split(":")[1:])) for port in found.pop("-p", [])),
        mounts=frozenset(
            (s.replace("$(pwd)", plan.container.mounts[0].source), t, m == "ro") for s, t, m in mounts
        ),
        user=found.pop("--user", [""])[0],
        program=tuple(found.pop("--entrypoint", ())),
        privileged="--privileged" in found,
        safe="no-new-privileges" in found.get("--security-opt", []),
    )


def _words(text: str) -> list[str]:
    """Words as a shell makes them: shlex does not join continued lines."""
    return shlex.split(text.replace("\\\n", ""))


SWITCHES = ("--detach", "-it", "--privileged")


def _docker_options(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    found: dict[str, list[str]] = {}
    place = 0
    while words[place].startswith("-"):
        name, equals, value = words[place].partition("=")
        if name not in SWITCHES and not equals:
            place += 1
            value = words[place]
        found.setdefault(name, []).append(value)
        place += 1
    return found, words[place:]


def of_quadlet(plan: Plan, process: Process) -> Facts:
    text = re.split(r"^# ~", quadlet.render(plan), flags=re.M)[process.node + 1]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        found.setdefault(key, []).append(value)
    env = [_systemd(value)[0].split("=", 1) for value in found["Environment"]]
    devices = found.get("AddDevice", [])
    if not plan.container.cdi:  # podman's way to any NVIDIA GPU is its CDI name
        devices = [d.replace("nvidia.com/gpu", "gpu") for d in devices]
    volumes = [(_systemd(volume)[0] + ":rw").split(":")[:3] for volume in found["Volume"]]
    return Facts(
        image=found["Image"][0],
        argv=tuple(_systemd(found["Exec"][0])),
        env=frozenset((name, value) for name, value in env),
        devices=frozenset(devices),
        groups=frozenset(found.get("GroupAdd", [])),
        caps=frozenset(found.get("AddCapability", [])),
        dropped=frozenset(cap.upper() for cap in found.get("DropCapability", [])),
        shm=int(found.get("ShmSize", ["0"])[0]),
        ports=frozenset(tuple(map(int, port.split(":")[1:])) for port in found.get("PublishPort", [])),
        mounts=frozenset((s.removesuffix(".volume"), t, mode == "ro") for s, t, mode in volumes),
        user=f"{found['User'][0]}:{found['Group'][0]}" if "User" in found else "",
        program=tuple(
            word.partition("=")[2] for word in found.get("PodmanArgs", []) if word.startswith("--entrypoint=")
        ),
        privileged="--privileged" in found.get("PodmanArgs", []),
        safe=found.get("NoNewPrivileges") == ["true"],
    )


def _systemd(text: str) -> list[str]:
    """Words of a unit file line: double quotes with backslashes, %% and $$ undone, ${NAME} left open."""
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    words = [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in parts]
    undone = {"$$": "$", "%%": "%"}
    return [re.sub(r"\$\$|%%|\$\{(\w+)\}", lambda m: undone.get(m[0], f"${m[1]}"), word) for word in words]


def of_kubernetes(plan: Plan, process: Process) -> Facts:
    """GPUs are a count there; the launcher's variables are the cluster's; ports are the Service's."""
    workload, service = yaml.safe_load_all(kubernetes.render(plan))
    pod = _pod(workload["spec"], process)
    c = pod["containers"][0]
    security, volumes = c["securityContext"], {volume["name"]: volume for volume in pod["volumes"]}
    places = [(volumes[mount["name"]], mount) for mount in c["volumeMounts"]]
    users = (security.get("runAsUser"), security.get("runAsGroup"))
    return Facts(
        image=c["image"],
        argv=tuple(_uncluster(word) for word in c["args"]),
        env=frozenset((e["name"], _uncluster(e["value"])) for e in c["env"]),
        devices=frozenset(
            [f"{name}={count}" for name, count in c.get("resources", {}).get("limits", {}).items()]
            + [volume["hostPath"]["path"] for name, volume in volumes.items() if name.startswith("device")]
        ),
        groups=frozenset(
            str(group) for group in pod.get("securityContext", {}).get("supplementalGroups", [])
        ),
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
    )


def _pod(spec: dict[str, Any], process: Process) -> dict[str, Any]:
    if "template" in spec:
        return spec["template"]["spec"]
    return spec["leaderWorkerTemplate"]["workerTemplate" if process.node else "leaderTemplate"]["spec"]


def _source(volume: dict[str, Any]) -> str:
    return (
        volume["hostPath"]["path"] if "hostPath" in volume else volume["persistentVolumeClaim"]["claimName"]
    )


def _uncluster(word: str) -> str:
    return {"$(LWS_LEADER_ADDRESS)": "$HEAD_IP", "eth0": "$IFACE_NAME"}.get(word, word.replace("$$(", "$("))
