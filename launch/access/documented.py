"""`--access documented`: the flags of vLLM's own documentation around our mounts, port and environment.

The image's own user (root) runs it, so what it writes goes to a volume of the engine and not into the user's folders.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from launch.access.builder import Access
from launch.spec.inputs import Host
from launch.spec.plan import Container, Mount, Reason
from launch.spec.vllm_args import Setting

VOLUME = "slipway-cache"


def widened(least: Access, host: Host, ranks: int) -> Access:
    """The least access of a launch, with the documented flags instead of the narrow ones."""
    given = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())[host.hardware.platform]
    held, source = least.container, given["source"]
    container = Container(
        profile="documented",
        ipc=given.get("ipc", ""),
        groups=_words(given, "groups"),
        cap_add=_words(given, "cap_add"),
        security_opt=_words(given, "security_opt"),
        devices=() if held.cdi else _words(given, "devices"),
        shm_bytes=given.get("shm", 0),
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
        reasons=(Reason("container", why, source), *kept),
        notes=(*least.notes, "the server runs as the image's user, mostly root"),
    )


def _words(given: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(given.get(name, ()))


def _selected(host: Host, ranks: int) -> tuple[Setting, ...]:
    """Every card is in sight through /dev/dri: where some are meant, ROCm is told which.

    ROCR_ alone: HIP_VISIBLE_DEVICES would count among those that are left.
    """
    if host.hardware.platform != "rocm" or not host.gpu_ids:
        return ()
    ids = ",".join(host.gpu_ids[:ranks])
    why = "only the GPUs of this launch, by what never changes; HIP_VISIBLE_DEVICES would select among these again"
    return (Setting("ROCR_VISIBLE_DEVICES", ids, "rule: one of HIP_ and ROCR_", why),)
