"""`--access documented`: the container flags of vLLM's own documentation, with Slipway's mounts, port and environment.

The image's own user (root) runs the server, so the cache is a volume of the engine and not a folder of the user.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from launch.access.types import Access
from launch.checked_data.data_file import load
from launch.spec.inputs import Host
from launch.spec.plan import Container, Mount, Reason
from launch.spec.vllm_args import EnvVar

VOLUME = "slipway-cache"
KEPT_REASONS = ("publish", "env-file", "network host", "gpus", "/hub", "/cache")
SELECTED = (
    "/dev/dri shows every GPU, so ROCm is told which ones to use, by UUID;"
    " HIP_VISIBLE_DEVICES would select a second time among these"
)


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


def documented_access(least: Access, host: Host, ranks: int) -> Access:
    """Return the least access of a launch with the documented flags instead of the narrow ones."""
    flags, narrow = _table()[host.hardware.platform], least.container
    container = Container(
        profile="documented",
        ipc=flags.ipc,
        groups=flags.groups,
        cap_add=flags.cap_add,
        security_opt=flags.security_opt,
        devices=() if narrow.cdi else flags.devices,
        shm_bytes=flags.shm_bytes,
        gpu_ids=narrow.gpu_ids,
        cdi=narrow.cdi,
        network=narrow.network,
        ports=narrow.ports,
        env_files=narrow.env_files,
        mounts=tuple(m if m.read_only else Mount(VOLUME, m.target, False) for m in narrow.mounts),
    )
    why = "the container flags of vLLM's documentation; --access least grants less"
    kept = tuple(reason for reason in least.reasons if reason.item in KEPT_REASONS)
    return replace(
        least,
        container=container,
        env=(*least.env, *(() if narrow.cdi else _visible_gpus(host, ranks))),
        reasons=(Reason("container", why, flags.source), *kept),
        notes=(*least.notes, "the server runs as the image's user, usually root"),
    )


def _visible_gpus(host: Host, ranks: int) -> tuple[EnvVar, ...]:
    if host.hardware.platform != "rocm" or not host.gpu_ids:
        return ()
    ids = ",".join(host.gpu_ids[:ranks])
    return (EnvVar("ROCR_VISIBLE_DEVICES", ids, "rule: ROCR_VISIBLE_DEVICES alone", SELECTED),)
