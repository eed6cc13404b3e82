"""Access profiles: what a container may use, each item with its reason.

`least` (the default), `documented` (vLLM's documentation), `guide` (what the recipe's guide prescribes),
`profiling` (debuggers and GPU counters), `rdma` (InfiniBand between nodes). See docs/explanation/access.md for why each
flag is needed or not.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from errors import Refused, choice
from launch.access.documented import documented_access
from launch.access.gpu_devices import with_gpus
from launch.access.sizes import GIB, PIDS, PIDS_PER_RANK, pids_limit, shm_bytes, tmp_bytes
from launch.access.types import RULE, Access
from launch.plural import count
from launch.recipes.from_config import MOUNTED, ConfigRecipe
from launch.recipes.schema import GuideContainer, Recipe
from launch.spec.inputs import Host
from launch.spec.plan import AUTO_PORT, FIRST_PORT, Container, Mount, Port, Reason, Tmpfs
from launch.spec.plan_options import ACCESS, PlanOptions
from launch.spec.vllm_args import EnvVar

HUB, CACHE, TMP = "/hub", "/cache", "/tmp"
SERVES_ON = 8000  # vLLM's default --port
READ_ONLY, PIDS_LIMIT = "read-only", "pids-limit"
# Paths that vLLM serves without the API key (vLLM's documentation).
UNPROTECTED_PATHS = ("/health", "/metrics", "/pause", "/abort_requests", "/invocations")
LEAST = (
    Reason("cap-drop ALL", "serving needs no capability", RULE),
    Reason("no-new-privileges", "no program in the image may gain privileges", RULE),
    Reason("/dev/shm", "ranks exchange tensors there; the engine's default of 64 MB is too small", RULE),
    Reason("user", "the caller's own uid and gid, so no file on the host becomes root's", RULE),
    Reason(HUB, "the weights, read-only", RULE),
    Reason(CACHE, "HOME: kernels compiled for this image are kept for its next start", RULE),
    Reason(READ_ONLY, f"the image is not changed; {CACHE}, {TMP} and /dev/shm are writable", RULE),
)
AUTO_NOTE = (
    f"--port auto: `invoke run` chooses the first free port from {FIRST_PORT} on;"
    f" a file or command made from this plan has port {FIRST_PORT}"
)
CRUN_NOTE = (
    "the image is writable, because crun before 1.26 cannot run NVIDIA's hooks on a read-only one"
    " (containers/crun#1924)"
)
ONE_NODE = Reason("publish", "reachable from this machine only", RULE)
SEVERAL_NODES = Reason("network host", "the ranks of several nodes must reach each other", RULE)
ENVIRONMENT = (
    EnvVar("HF_HUB_CACHE", HUB, RULE, "the mount of the weights"),
    EnvVar("HF_HUB_OFFLINE", "1", RULE, "the weights are already there, so the server needs no network"),
    EnvVar("HOME", CACHE, RULE, "the caller has no home folder in the image"),
    EnvVar("USER", "vllm", RULE, "the caller has no user name in the image, and torch needs one"),
    EnvVar("VLLM_CACHE_ROOT", f"{CACHE}/vllm", RULE, "saves compiling again at the next start"),
    # Triton, AITER, DeepGEMM and FlashInfer keep their caches below HOME.
    EnvVar("TORCHINDUCTOR_CACHE_DIR", f"{CACHE}/torchinductor", RULE, "the default, /tmp, is not kept"),
    EnvVar("VLLM_NO_USAGE_STATS", "1", RULE, "sends no usage statistics"),
)


def guide_container(recipe: Recipe, host: Host) -> GuideContainer:
    """Return the container that the recipe's guide prescribes. Raises Refused if it prescribes none."""
    guide = recipe.extension.guide.get(host.hardware.platform)
    if guide is None:
        raise Refused(
            f"the guide of {recipe.name} has no container flags for {host.hardware.platform}",
            why=f"it has some for: {', '.join(recipe.extension.guide) or 'no platform'}",
            fix="--access least",
        )
    return guide


def grant(options: PlanOptions, host: Host, recipe: Recipe, image_id: str, ranks: int) -> Access:
    """Return the access of one node's container. `ranks` is the number of processes on that node.

    `image_id` names the folder of what servers of this image compile.
    """
    if options.access not in ACCESS:
        raise choice("access profile", options.access, ACCESS)
    if options.port == AUTO_PORT and (options.access == "guide" or host.nodes > 1):
        why = "the server uses the network of the host, and its port is part of its command"
        what = "--access guide" if options.access == "guide" else f"--nodes {host.nodes}"
        raise Refused(f"--port auto cannot be used with {what}", why=why, fix=f"--port {FIRST_PORT}")
    access = _profile(options, host, recipe, image_id, ranks)
    return _with_pids(access, options.pids) if options.pids else access


def _profile(options: PlanOptions, host: Host, recipe: Recipe, image_id: str, ranks: int) -> Access:
    if options.access == "guide":
        return _guide(guide_container(recipe, host), host, options)
    access = _listening(_least(options, host, recipe, image_id, ranks), options, host)
    if options.access == "documented":
        return documented_access(access, host, ranks)
    if options.access == "profiling":
        return _profiling(access)
    return _rdma(access) if options.access == "rdma" else access


def _guide(guide: GuideContainer, host: Host, options: PlanOptions) -> Access:
    if options.cdi == "yes":
        why = "the guide passes GPUs by device node"
        raise Refused("--cdi yes cannot be used with --access guide", why=why, fix="--access least")
    flags = guide.flags
    container = Container(
        profile="guide",
        name=options.name or guide.name,
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


def _least(options: PlanOptions, host: Host, recipe: Recipe, image_id: str, ranks: int) -> Access:
    one_node = host.nodes == 1
    container = Container(
        profile="least",
        name=options.name,
        cap_drop=("ALL",),
        security_opt=("no-new-privileges",),
        shm_bytes=shm_bytes(host, ranks),
        user=f"{host.uid}:{host.gid}",
        read_only=True,
        tmpfs=(Tmpfs(TMP, tmp_bytes(host, ranks)),),
        pids_limit=pids_limit(ranks),
        network="" if one_node else "host",
        ports=(Port("127.0.0.1", options.port, SERVES_ON),) if one_node else (),
        mounts=_mounts(host, recipe, image_id),
    )
    published = ONE_NODE if one_node else SEVERAL_NODES
    access = Access(container, ENVIRONMENT, (*LEAST, *_size_reasons(container, ranks), published))
    if not any(mount.target == HUB for mount in container.mounts):
        access = _without_hub(access)
    if host.hardware.platform == "cuda" and host.runtime == "crun":
        access = _with_writable_image(access).noted(CRUN_NOTE)
    return with_gpus(access.noted(AUTO_NOTE) if options.port == AUTO_PORT else access, options, host, ranks)


def _without_hub(access: Access) -> Access:
    """Return the access without what belongs to the Hugging Face cache: a local folder has the weights."""
    env = tuple(variable for variable in access.env if variable.value != HUB)
    reasons = tuple(
        replace(reason, item=MOUNTED) if reason.item == HUB else reason for reason in access.reasons
    )
    return replace(access, env=env, reasons=reasons)


def _size_reasons(container: Container, ranks: int) -> tuple[Reason, ...]:
    gib = container.tmpfs[0].size_bytes // GIB
    tmp = f"sockets between ranks, lock files, compilers; up to {gib} GiB of the container's memory"
    pids = f"no more than {PIDS:,} processes and threads, and {PIDS_PER_RANK:,} for each of {count(ranks, 'rank')}"
    return Reason(TMP, tmp, RULE), Reason(PIDS_LIMIT, pids, RULE)


NOT_LOCAL = (ipaddress.ip_address("255.255.255.255"),)


def _listening(access: Access, options: PlanOptions, host: Host) -> Access:
    """Bind the port to the user's address; if other machines can reach it, require an API key.

    Raises Refused for an invalid address.
    """
    try:
        address = ipaddress.ip_address(options.listen)
    except ValueError:
        fix = "--listen 0.0.0.0 for every address of this machine"
        raise Refused(f"--listen '{options.listen}' is not an IP address", fix=fix) from None
    if address.is_multicast or address in NOT_LOCAL or getattr(address, "scope_id", None):
        why = "an engine can publish a port on an address of this machine only, without the name of an interface"
        fix = "--listen 0.0.0.0 for every address of this machine"
        raise Refused(f"--listen '{options.listen}' cannot be listened on", why=why, fix=fix)
    ports = tuple(replace(port, host_ip=str(address)) for port in access.container.ports)
    if address.is_loopback:
        return replace(access, container=replace(access.container, ports=ports))
    source = f"--listen {options.listen}"
    reasons = (
        Reason("publish", "reachable from other machines, as set by the user", source),
        Reason("env-file", "an open port needs an API key; only the owner can read the file", source),
    )
    files = (host.key_file,) if host.key_file else ()
    note = f"the API key does not protect {' '.join(UNPROTECTED_PATHS)}: restrict access to the port with a firewall"
    container = replace(access.container, ports=ports, env_files=files)
    kept = access.without("publish").reasons
    return replace(access, container=container, reasons=(*kept, *reasons)).noted(note)


def _mounts(host: Host, recipe: Recipe, image_id: str) -> tuple[Mount, ...]:
    """Return the weights, and a cache for each image: AITER loads what it compiled for another version of itself."""
    source = f"{host.cache}/{image_id}" if host.cache else "slipway-cache"
    cache = Mount(source, CACHE, read_only=False)
    if isinstance(recipe, ConfigRecipe) and recipe.folder:
        return (Mount(recipe.folder, MOUNTED), cache)
    return (Mount(host.hub_cache, HUB), cache) if host.hub_cache else (cache,)


def _with_writable_image(access: Access) -> Access:
    return access.without(READ_ONLY, TMP).wider((), read_only=False, tmpfs=())


def _with_pids(access: Access, limit: int) -> Access:
    return access.without(PIDS_LIMIT).wider(
        (Reason(PIDS_LIMIT, "set by the user", "--pids"),), pids_limit=limit
    )


def _profiling(access: Access) -> Access:
    """Add capabilities for debuggers, and make the image's files writable, because debuggers are installed there.

    Only root can use capabilities, because an engine grants them to no other user. The engine's own seccomp
    profile is kept, because it allows more calls to a container with capabilities.
    """
    caps = ("SYS_PTRACE", "SYS_ADMIN")
    reasons = (
        Reason(f"cap-add {' '.join(caps)}", "debuggers and GPU performance counters", "--access profiling"),
        Reason("user 0:0", "only root can use a container's capabilities", "--access profiling"),
    )
    options = tuple(option for option in access.container.security_opt if not option.startswith("seccomp="))
    return _with_writable_image(access).wider(
        reasons, profile="profiling", cap_add=caps, user="0:0", security_opt=options
    )


def _rdma(access: Access) -> Access:
    """Add InfiniBand adapters and the right to pin memory: a capability for root, a limit for other users."""
    why = "InfiniBand needs pinned memory"
    reasons = (
        Reason("cap-add IPC_LOCK", why, "--access rdma"),
        Reason("ulimit memlock", f"{why}, and only root can use the capability", "--access rdma"),
        Reason("/dev/infiniband", "the adapters", "--access rdma"),
    )
    devices = (*access.container.devices, "/dev/infiniband")
    limits = (*access.container.ulimits, ("memlock", -1))
    return access.wider(reasons, profile="rdma", cap_add=("IPC_LOCK",), devices=devices, ulimits=limits)
