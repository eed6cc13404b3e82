"""`--access documented`: the flags of vLLM's own documentation around our mounts, port and environment.

The image's own user (root) runs it, so what it writes goes to a volume of the engine and not into the user's folders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from launch.access.builder import Access
from launch.data_file import load
from launch.spec.inputs import Host
from launch.spec.plan import Container, Mount, Reason
from launch.spec.vllm_args import Setting

VOLUME = "slipway-cache"


@dataclass(frozen=True)
class DocumentedFlags:
    """The container flags of one platform, named as in `launch.spec.plan.Container`."""

    source: str
    ipc: str = ""
    groups: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    shm_bytes: int = 0


@cache
def _table() -> dict[str, DocumentedFlags]:
    return load(Path(__file__).with_suffix(".yaml"), dict[str, DocumentedFlags])


def widened(least: Access, host: Host, ranks: int) -> Access:
    """The least access of a launch, with the documented flags instead of the narrow ones."""
    flags, held = _table()[host.hardware.platform], least.container
    container = Container(
        profile="documented",
        ipc=flags.ipc,
        groups=flags.groups,
        cap_add=flags.cap_add,
        security_opt=flags.security_opt,
        devices=() if held.cdi else flags.devices,
        shm_bytes=flags.shm_bytes,
        gpu_ids=held.gpu_ids,
        cdi=held.cdi,
        network=held.network,
        ports=held.ports,
        env_files=held.env_files,
        mounts=tuple(
            mount if mount.read_only else Mount(VOLUME, mount.target, False) for mount in held.mounts
        ),
    )
    why = "the documented container; --access least grants less"
    kept = tuple(
        reason
        for reason in least.reasons
        if reason.item in ("publish", "env-file", "network host", "gpus", "/hub", "/cache")
    )
    selected = () if held.cdi else _selected(host, ranks)
    return replace(
        least,
        container=container,
        env=(*least.env, *selected),
        reasons=(Reason("container", why, flags.source), *kept),
        notes=(*least.notes, "the server runs as the image's user, mostly root"),
    )


def _selected(host: Host, ranks: int) -> tuple[Setting, ...]:
    """Every card is in sight through /dev/dri: where some are meant, ROCm is told which.

    ROCR_ alone: HIP_VISIBLE_DEVICES would count among those that are left.
    """
    if host.hardware.platform != "rocm" or not host.gpu_ids:
        return ()
    ids = ",".join(host.gpu_ids[:ranks])
    why = "only the GPUs of this launch, by what never changes; HIP_VISIBLE_DEVICES would select among these again"
    return (Setting("ROCR_VISIBLE_DEVICES", ids, "rule: one of HIP_ and ROCR_", why),)
