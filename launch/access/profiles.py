"""What a container may touch: the narrowest set that serves, each item with its reason.

Profiles: `least` (the default), `documented` (vLLM's own documentation), `guide` (what the recipe's guide
prescribes), `profiling` (debuggers and GPU counters), `rdma` (InfiniBand between nodes). Which flags are needed
and which are superstition: the containers' pages of vLLM, ROCm and the NVIDIA container toolkit, docs/explanation/access.md.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from errors import Refused
from launch.access.builder import RULE, Access
from launch.access.documented import widened
from launch.access.gpu_devices import with_gpus
from launch.recipes.extension import GuideContainer
from launch.recipes.schema import Recipe
from launch.spec.inputs import Host, PlanOptions
from launch.spec.plan import Container, Mount, Port, Reason
from launch.spec.vllm_args import Setting

PROFILES = ("least", "documented", "guide", "profiling", "rdma")
GIB = 2**30
HUB, CACHE = "/hub", "/cache"
SERVES_ON = 8000  # vLLM's default --port
# Paths that the API key does not protect (vLLM's documentation).
UNPROTECTED_PATHS = ("/health", "/metrics", "/pause", "/abort_requests", "/invocations")
LEAST = (
    Reason("cap-drop ALL", "serving needs no capability", RULE),
    Reason("no-new-privileges", "nothing in the image may gain rights", RULE),
    Reason("shm-size", "ranks exchange tensors through /dev/shm; the engine's 64 MB is too small", RULE),
    Reason("user", "the caller's own numbers: no file on the host becomes root's", RULE),
    Reason(HUB, "the weights, read-only", RULE),
    Reason(CACHE, "compiled kernels survive the container", RULE),
)
ONE_NODE = Reason("publish", "reachable from this machine only", RULE)
SEVERAL_NODES = Reason("network host", "the ranks of several nodes must reach each other", RULE)
ENVIRONMENT = (
    Setting("HF_HUB_CACHE", HUB, RULE, "where the weights are mounted"),
    Setting("HF_HUB_OFFLINE", "1", RULE, "the weights are there already; the server asks nobody"),
    Setting("HOME", CACHE, RULE, "the caller has no home in the image"),
    Setting("USER", "vllm", RULE, "the caller has no name in the image; torch asks for one"),
    Setting("VLLM_CACHE_ROOT", f"{CACHE}/vllm", RULE, "saves compiling again at the next start"),
    # Triton, AITER, DeepGEMM and FlashInfer keep theirs below HOME.
    Setting(
        "TORCHINDUCTOR_CACHE_DIR", f"{CACHE}/torchinductor", RULE, "torch's own choice, /tmp, would be lost"
    ),
    Setting("VLLM_NO_USAGE_STATS", "1", RULE, "nothing is sent out"),
)


def guide_for(recipe: Recipe, host: Host) -> GuideContainer:
    """The container that the recipe's guide prescribes. Raises Refused where it prescribes none."""
    found = recipe.ours.guide.get(host.hardware.platform)
    if found is None:
        known = ", ".join(recipe.ours.guide) or "no platform"
        raise Refused(
            f"the guide of {recipe.name} names no container access on {host.hardware.platform}",
            why=f"it does for: {known}",
            fix="--access least",
        )
    return found


def grant(options: PlanOptions, host: Host, recipe: Recipe, ranks: int) -> Access:
    """The access of one node's container. `ranks` are the processes on that node."""
    if options.access not in PROFILES:
        raise Refused(f"unknown access profile '{options.access}'", fix=f"one of: {', '.join(PROFILES)}")
    if options.access == "guide":
        return _guide(guide_for(recipe, host), host, options)
    access = _listening(_least(options, host, ranks), options, host)
    if options.access == "documented":
        return widened(access, host, ranks)
    if options.access == "profiling":
        return _profiling(access)
    return _rdma(access) if options.access == "rdma" else access


def _guide(guide: GuideContainer, host: Host, options: PlanOptions) -> Access:
    if options.cdi == "yes":
        raise Refused(
            "--cdi yes with --access guide", why="the guide names its devices", fix="--access least"
        )
    flags = guide.flags
    container = Container(
        profile="guide",
        name=guide.name,
        tty=True,
        ipc=flags.ipc,
        network=flags.network,
        privileged=flags.privileged,
        cap_add=flags.cap_add,
        devices=flags.devices,
        groups=flags.groups,
        security_opt=flags.security_opt,
        env=tuple(flags.env.items()),
        mounts=(Mount(host.folder, "/work", read_only=False),),
    )
    why = "the guide's own container flags, token for token; --access least grants less"
    return Access(container, reasons=(Reason("container", why, "x-slipway.guide"),))


def _least(options: PlanOptions, host: Host, ranks: int) -> Access:
    alone = host.nodes == 1
    container = Container(
        profile="least",
        cap_drop=("ALL",),
        security_opt=("no-new-privileges",),
        shm_bytes=shm_bytes(host, ranks),
        user=f"{host.uid}:{host.gid}",
        network="" if alone else "host",
        ports=(Port("127.0.0.1", options.port, SERVES_ON),) if alone else (),
        mounts=_mounts(host),
    )
    access = Access(container, ENVIRONMENT, (*LEAST, ONE_NODE if alone else SEVERAL_NODES))
    return with_gpus(access, options, host, ranks)


def _listening(access: Access, options: PlanOptions, host: Host) -> Access:
    """The port on the address that the user names; where others can reach it, with an API key.

    Raises Refused for an address that is none.
    """
    try:
        address = ipaddress.ip_address(options.listen)
    except ValueError:
        fix = "--listen 0.0.0.0 for every address of this machine"
        raise Refused(f"--listen {options.listen}: an address is wanted", fix=fix) from None
    ports = tuple(replace(port, host_ip=str(address)) for port in access.container.ports)
    if address.is_loopback:
        return replace(access, container=replace(access.container, ports=ports))
    kept = tuple(reason for reason in access.reasons if reason.item != "publish")
    reasons = (
        Reason("publish", "your word: other machines reach it", f"--listen {options.listen}"),
        Reason(
            "env-file",
            "an open port asks for an API key; the file is its owner's alone",
            f"--listen {options.listen}",
        ),
    )
    files = (host.key_file,) if host.key_file else ()
    notes = (
        *access.notes,
        f"not behind the key: {' '.join(UNPROTECTED_PATHS)}; let only those in who may call them",
    )
    wider = replace(access.container, ports=ports, env_files=files)
    return replace(access, container=wider, reasons=(*kept, *reasons), notes=notes)


def _mounts(host: Host) -> tuple[Mount, ...]:
    cache = Mount(host.cache or "slipway-cache", CACHE, read_only=False)
    return (Mount(host.hub_cache, HUB), cache) if host.hub_cache else (cache,)


def shm_bytes(host: Host, ranks: int) -> int:
    """Size of /dev/shm: 2 GiB a GPU rank (upstream: 16 GiB for 8), half a GiB a CPU rank, at least 1."""
    each = GIB // 2 if host.hardware.platform == "cpu" else 2 * GIB
    return max(GIB, ranks * each)


def _profiling(access: Access) -> Access:
    """Root, for an engine gives capabilities to nobody else; and its own seccomp profile, which opens with them."""
    caps = ("SYS_PTRACE", "SYS_ADMIN")
    reasons = (
        Reason(f"cap-add {' '.join(caps)}", "debuggers and GPU performance counters", "--access profiling"),
        Reason("user 0:0", "capabilities of a container work for root alone", "--access profiling"),
    )
    options = tuple(word for word in access.container.security_opt if not word.startswith("seccomp="))
    return access.wider(reasons, profile="profiling", cap_add=caps, user="0:0", security_opt=options)


def _rdma(access: Access) -> Access:
    """InfiniBand registers memory, which must stay where it is: by capability for root, by limit for others."""
    held, why = access.container, "InfiniBand needs pinned memory"
    reasons = (
        Reason("cap-add IPC_LOCK", why, "--access rdma"),
        Reason("ulimit memlock", f"{why}; the capability is root's alone", "--access rdma"),
        Reason("/dev/infiniband", "the adapters", "--access rdma"),
    )
    devices = (*held.devices, "/dev/infiniband")
    limits = (*held.ulimits, ("memlock", -1))
    return access.wider(reasons, profile="rdma", cap_add=("IPC_LOCK",), devices=devices, ulimits=limits)
