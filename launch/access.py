"""What a container may touch: the narrowest set that serves, each item with its reason.

Profiles: `least` (the default), `guide` (what the recipe's guide prescribes), `profiling` (debuggers and GPU
counters), `rdma` (InfiniBand between nodes). Which flags are needed and which are superstition: facts on containers
in the documentation of vLLM, ROCm and the NVIDIA container toolkit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from errors import Refused
from launch.arguments import Setting
from launch.plan import Container, Mount, Port, Reason
from launch.recipe import GuideContainer, Recipe
from launch.request import Host, Wish

PROFILES = ("least", "guide", "profiling", "rdma")
GIB = 2**30
HUB, CACHE = "/hub", "/cache"
SERVES_ON = 8000  # vLLM's default --port
RULE = "rule: least access"


@dataclass(frozen=True)
class Access:
    """The container, the environment that goes with it, and the reasons for both."""

    container: Container
    env: tuple[Setting, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()


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


def grant(wish: Wish, host: Host, recipe: Recipe, ranks: int) -> Access:
    """The access of one node's container. `ranks` are the processes on that node."""
    if wish.access not in PROFILES:
        raise Refused(f"unknown access profile '{wish.access}'", fix=f"one of: {', '.join(PROFILES)}")
    if wish.access == "guide":
        return _guide(guide_for(recipe, host), host)
    access = _least(wish, host, ranks)
    if wish.access == "profiling":
        return _more(
            access, "profiling", ("SYS_PTRACE", "SYS_ADMIN"), (), "debuggers and GPU performance counters"
        )
    if wish.access == "rdma":
        return _more(access, "rdma", ("IPC_LOCK",), ("/dev/infiniband",), "InfiniBand needs pinned memory")
    return access


def _guide(guide: GuideContainer, host: Host) -> Access:
    flags = guide.flags
    container = Container(
        profile="guide",
        name=guide.name,
        tty=True,
        ipc=flags.get("ipc", ""),
        network=flags.get("network", ""),
        privileged=flags.get("privileged", False),
        cap_add=tuple(flags.get("cap_add", ())),
        devices=tuple(flags.get("devices", ())),
        groups=tuple(flags.get("groups", ())),
        security_opt=tuple(flags.get("security_opt", ())),
        env=tuple(flags.get("env", {}).items()),
        mounts=(Mount(host.folder, "/work", read_only=False),),
    )
    why = "the guide's own container flags, token for token; --access least grants less"
    return Access(container, reasons=(Reason("container", why, "x-slipway.guide"),))


def _least(wish: Wish, host: Host, ranks: int) -> Access:
    shared = shm_bytes(host, ranks)
    alone = host.nodes == 1
    container = Container(
        profile="least",
        cap_drop=("ALL",),
        security_opt=("no-new-privileges",),
        shm_bytes=shared,
        user=f"{host.uid}:{host.gid}",
        network="" if alone else "host",
        ports=(Port("127.0.0.1", wish.port, SERVES_ON),) if alone else (),
        mounts=_mounts(host),
    )
    reasons = (
        Reason("cap-drop ALL", "serving needs no capability", RULE),
        Reason("no-new-privileges", "nothing in the image may gain rights", RULE),
        Reason(
            "shm-size",
            f"{ranks} rank(s) exchange tensors through /dev/shm; the engine's 64 MB is too small",
            RULE,
        ),
        Reason("user", "the caller's own numbers: no file on the host becomes root's", RULE),
        Reason(HUB, "the weights, read-only", RULE),
        Reason(CACHE, "compiled kernels survive the container", RULE),
        Reason("publish", "reachable from this machine only", RULE)
        if alone
        else Reason("network host", "the ranks of several nodes must reach each other", RULE),
    )
    devices, reasons_devices, notes = _devices(host, ranks)
    return Access(replace(container, **devices), _environment(), (*reasons, *reasons_devices), notes)


def _mounts(host: Host) -> tuple[Mount, ...]:
    cache = Mount(host.cache or "slipway-cache", CACHE, read_only=False)
    return (Mount(host.hub_cache, HUB), cache) if host.hub_cache else (cache,)


def _environment() -> tuple[Setting, ...]:
    return (
        Setting("HF_HUB_CACHE", HUB, RULE, "where the weights are mounted"),
        Setting("HF_HUB_OFFLINE", "1", RULE, "the weights are there already; the server asks nobody"),
        Setting("HOME", CACHE, RULE, "the caller has no home in the image"),
        Setting("USER", "vllm", RULE, "the caller has no name in the image; torch asks for one"),
        Setting("VLLM_CACHE_ROOT", f"{CACHE}/vllm", RULE, "saves compiling again at the next start"),
        Setting("VLLM_NO_USAGE_STATS", "1", RULE, "nothing is sent out"),
    )


def shm_bytes(host: Host, ranks: int) -> int:
    """Size of /dev/shm: 2 GiB a GPU rank (the documented 16 GiB for a node of 8), 512 MiB a CPU rank, at least 1 GiB."""
    each = GIB // 2 if host.hardware.platform == "cpu" else 2 * GIB
    return max(GIB, ranks * each)


def _devices(
    host: Host, ranks: int
) -> tuple[dict[str, tuple[str, ...]], tuple[Reason, ...], tuple[str, ...]]:
    platform = host.hardware.platform
    if platform == "cuda":
        ids = host.gpu_ids[:ranks] or (("all",) if ranks == host.hardware.per_node else _first(ranks))
        return (
            {"gpu_ids": ids},
            (Reason("gpus", f"{ranks} GPU(s), through the NVIDIA container toolkit", RULE),),
            (),
        )
    if platform == "rocm":
        return _rocm(host, ranks)
    return {}, (), ()


def _first(ranks: int) -> tuple[str, ...]:
    return tuple(str(index) for index in range(ranks))


def _rocm(host: Host, ranks: int) -> tuple[dict[str, tuple[str, ...]], tuple[Reason, ...], tuple[str, ...]]:
    nodes = host.devices[:ranks] or ("/dev/dri",)
    reasons = (
        Reason("/dev/kfd", "the compute interface of the AMD driver", RULE),
        Reason(" ".join(nodes), f"the render nodes of {ranks} GPU(s)", RULE),
    )
    notes = (
        ()
        if host.devices
        else (
            "planned away from the host: all of /dev/dri is given, and the numeric groups of /dev/kfd and the render nodes"
            " must be added where the user is not root",
        )
    )
    if host.groups:
        reasons += (
            Reason(
                "groups",
                "own /dev/kfd and the render nodes, by number: names may be missing in the image",
                RULE,
            ),
        )
    return {"devices": ("/dev/kfd", *nodes), "groups": host.groups}, reasons, notes


def _more(access: Access, profile: str, caps: tuple[str, ...], devices: tuple[str, ...], why: str) -> Access:
    held = access.container
    wider = replace(held, profile=profile, cap_add=(*held.cap_add, *caps), devices=(*held.devices, *devices))
    reason = Reason(f"cap-add {' '.join(caps)}", why, f"--access {profile}")
    return replace(access, container=wider, reasons=(*access.reasons, reason))
