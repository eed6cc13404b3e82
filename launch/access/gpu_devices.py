"""Map GPUs to container settings: an NVIDIA device request, AMD device nodes, or CDI names.

CDI names are used if the engine has no other way to pass NVIDIA GPUs, or if the user asks for them.
"""

from __future__ import annotations

from errors import Refused, choice
from launch.access.types import RULE, Access
from launch.plural import count
from launch.spec.inputs import Host
from launch.spec.plan import Reason
from launch.spec.plan_options import CDI, PlanOptions

# The command that writes a CDI spec, by platform.
SPEC_COMMANDS = {
    "cuda": "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    "rocm": "sudo amd-ctk cdi generate --output=/etc/cdi/amd.json",
}
SECCOMP = (
    "the engine's own filter plus the NUMA calls that ROCm makes;"
    " `unconfined` would allow every call (launch/access/seccomp.yaml)"
)
GROUPS = "the owners of /dev/kfd and the render nodes, by number because the image may not know the names"
OTHER_MACHINE = (
    "planned for another machine, so all of /dev/dri is passed; a user other than root also needs the numeric"
    " groups of /dev/kfd and the render nodes"
)


def with_gpus(access: Access, options: PlanOptions, host: Host, ranks: int) -> Access:
    """Return the access with as many GPUs as a node has ranks.

    Raises Refused for an unknown --cdi value, and for --cdi yes if no spec of this host names the GPUs.
    """
    if options.cdi not in CDI:
        raise choice("--cdi value", options.cdi, CDI)
    platform = host.hardware.platform
    if platform not in SPEC_COMMANDS:
        return access
    why = _why_cdi(options, host)
    names = _names(host, ranks) if why else ()
    if options.cdi == "yes" and not names:
        raise _no_spec(host)
    if names:
        access = access.wider((_reason(names, why, options),), cdi=names)
        return _with_rocm_needs(access, host) if platform == "rocm" else access
    if platform == "cuda":
        return _with_device_request(access, host, ranks, why)
    return _with_device_nodes(access, host, ranks)


def _why_cdi(options: PlanOptions, host: Host) -> str:
    """Return why CDI names are used, "" if they are not."""
    if options.cdi == "yes":
        return "set by the user"
    return host.cdi_reason if options.cdi == "auto" and host.hardware.platform == "cuda" else ""


def _names(host: Host, ranks: int) -> tuple[str, ...]:
    """Return a name for each rank. A name of a card with several ranks is used only if all ranks are."""
    if len(host.cdi) == host.gpus:
        return host.cdi[:ranks]
    return host.cdi if ranks == host.gpus else ()


def _no_spec(host: Host) -> Refused:
    here = host.gpu_ids or host.devices
    why = "no readable spec in /etc/cdi or /var/run/cdi does" if here else "the plan is for another machine"
    fix = f"{SPEC_COMMANDS[host.hardware.platform]}, or --cdi no"
    return Refused("--cdi yes: no CDI spec names these GPUs", why=why, fix=fix)


def _reason(names: tuple[str, ...], why: str, options: PlanOptions) -> Reason:
    source = "--cdi yes" if options.cdi == "yes" else RULE
    return Reason("gpus", f"{count(len(names), 'CDI name')} of {names[0].partition('=')[0]}: {why}", source)


def _with_device_request(access: Access, host: Host, ranks: int, why: str) -> Access:
    """Pass NVIDIA GPUs by a device request, which the NVIDIA container toolkit serves."""
    whole = ranks == host.hardware.per_node
    ids = host.gpu_ids[:ranks] or (("all",) if whole else tuple(str(index) for index in range(ranks)))
    reason = Reason("gpus", f"{count(ranks, 'GPU')}, through the NVIDIA container toolkit", RULE)
    access = access.wider((reason,), gpu_ids=ids)
    return (
        access.noted(f"{why}, but no CDI spec names these GPUs: {SPEC_COMMANDS['cuda']}") if why else access
    )


def _with_device_nodes(access: Access, host: Host, ranks: int) -> Access:
    """Pass AMD GPUs by their device nodes."""
    nodes = host.devices[:ranks] or ("/dev/dri",)
    reasons = (
        Reason("/dev/kfd", "the compute interface of the AMD driver", RULE),
        Reason(" ".join(nodes), "the render nodes of the GPUs", RULE),
    )
    access = _with_rocm_needs(access.wider(reasons, devices=("/dev/kfd", *nodes)), host)
    return access if host.devices else access.noted(OTHER_MACHINE)


def _with_rocm_needs(access: Access, host: Host) -> Access:
    """Add the groups that own the device nodes, and the system calls that the engine's default refuses."""
    reasons = (
        *((Reason("groups", GROUPS, RULE),) if host.groups else ()),
        *((Reason("seccomp", SECCOMP, RULE),) if host.seccomp else ()),
    )
    options = (*access.container.security_opt, *((f"seccomp={host.seccomp}",) if host.seccomp else ()))
    return access.wider(reasons, groups=host.groups, security_opt=options)
