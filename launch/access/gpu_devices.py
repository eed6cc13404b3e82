"""How a container is given its GPUs: an NVIDIA device request, AMD's render nodes, or names of a CDI spec.

A CDI name is taken where the engine has no other way to NVIDIA's GPUs, or where the user says so.
"""

from __future__ import annotations

from errors import Refused, choice
from launch.access.builder import RULE, Access
from launch.spec.inputs import Host, PlanOptions
from launch.spec.plan import Reason

WAYS = ("auto", "yes", "no")
MAKERS = {
    "cuda": "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    "rocm": "sudo amd-ctk cdi generate --output=/etc/cdi/amd.json",
}
SECCOMP = "the engine's own filter and NUMA calls, which ROCm makes; unconfined opens all (launch/access/seccomp.yaml)"
GROUPS = "own /dev/kfd and the render nodes; as numbers, for names may be missing in the image"
AWAY = (
    "planned away from the host: all of /dev/dri is given; a user who is not root also needs the numeric"
    " groups of /dev/kfd and the render nodes"
)


def with_gpus(access: Access, options: PlanOptions, host: Host, ranks: int) -> Access:
    """The access with as many GPUs as there are ranks on a node.

    Raises Refused for a CDI wish that is none, or that no spec of this host can grant.
    """
    if options.cdi not in WAYS:
        raise choice("--cdi value", options.cdi, WAYS)
    platform = host.hardware.platform
    if platform not in MAKERS:
        return access
    why = _why_cdi(options, host)
    names = _names(host, ranks) if why else ()
    if options.cdi == "yes" and not names:
        raise _unnamed(host)
    if names:
        access = access.wider((_reason(names, why, options),), cdi=names)
        return _beside(access, host) if platform == "rocm" else access
    return _requested(access, host, ranks, why) if platform == "cuda" else _opened(access, host, ranks)


def _why_cdi(options: PlanOptions, host: Host) -> str:
    """Why CDI names are wanted; "" where they are not."""
    if options.cdi == "yes":
        return "your word"
    return host.by_cdi if options.cdi == "auto" and host.hardware.platform == "cuda" else ""


def _names(host: Host, ranks: int) -> tuple[str, ...]:
    """A name a rank; where one stands for a whole card of several ranks, all of them or none."""
    if len(host.cdi) == host.gpus:
        return host.cdi[:ranks]
    return host.cdi if ranks == host.gpus else ()


def _unnamed(host: Host) -> Refused:
    here = host.gpu_ids or host.devices
    why = "no readable spec in /etc/cdi or /var/run/cdi does" if here else "it is planned away from its GPUs"
    fix = f"{MAKERS[host.hardware.platform]}, or --cdi no"
    return Refused("--cdi yes: no CDI spec names these GPUs", why=why, fix=fix)


def _reason(names: tuple[str, ...], why: str, options: PlanOptions) -> Reason:
    source = "--cdi yes" if options.cdi == "yes" else RULE
    return Reason("gpus", f"{len(names)} CDI name(s) of {names[0].partition('=')[0]}: {why}", source)


def _requested(access: Access, host: Host, ranks: int, why: str) -> Access:
    """NVIDIA's own way: a device request that the container toolkit serves."""
    whole = ranks == host.hardware.per_node
    ids = host.gpu_ids[:ranks] or (("all",) if whole else tuple(str(index) for index in range(ranks)))
    reason = Reason("gpus", f"{ranks} GPU(s), through the NVIDIA container toolkit", RULE)
    given = access.wider((reason,), gpu_ids=ids)
    return given.noted(f"{why}, and no CDI spec names these GPUs: {MAKERS['cuda']}") if why else given


def _opened(access: Access, host: Host, ranks: int) -> Access:
    """AMD's own way: the device nodes themselves."""
    nodes = host.devices[:ranks] or ("/dev/dri",)
    reasons = (
        Reason("/dev/kfd", "the compute interface of the AMD driver", RULE),
        Reason(" ".join(nodes), "the render nodes of the GPUs", RULE),
    )
    given = _beside(access.wider(reasons, devices=("/dev/kfd", *nodes)), host)
    return given if host.devices else given.noted(AWAY)


def _beside(access: Access, host: Host) -> Access:
    """What ROCm needs beside its devices: their groups, and system calls that the engine refuses."""
    reasons = (
        *((Reason("groups", GROUPS, RULE),) if host.groups else ()),
        *((Reason("seccomp", SECCOMP, RULE),) if host.seccomp else ()),
    )
    options = (*access.container.security_opt, *((f"seccomp={host.seccomp}",) if host.seccomp else ()))
    return access.wider(reasons, groups=host.groups, security_opt=options)
