"""Between the choice of GPUs and the start of their container: nobody else may have taken them.

A launch plans without the lock, for an image may have to be pulled in between; it starts with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errors import Refused
from launch.allocation.gpus import Holder, by_name, holders
from launch.allocation.host_lock import locked
from launch.hardware.types import Gpu
from launch.spec.plan import Container


class Taken(Refused):
    """The GPUs of a plan went to somebody else while it was made ready; another plan may find others."""


def mine(container: Container, own: str) -> Holder:
    """The container of a plan as a holder, before it exists."""
    renders = [device for device in container.devices if device.startswith("/dev/dri/render")]
    everything = ["all"] if "/dev/dri" in container.devices else []
    return Holder(own, (*container.gpu_ids, *map(by_name, container.cdi), *renders, *everything))


def conflicts(wanted: Holder, running: Iterable[Holder], gpus: Iterable[Gpu]) -> list[str]:
    """GPUs that both the wanted holder and a running one of another name hold, in words."""
    others = [holder for holder in running if holder.name != wanted.name]
    return [
        f"GPU {gpu.index}: container {holder.name}"
        for gpu in gpus
        for holder in others
        if wanted.holds(gpu) and holder.holds(gpu)
    ]


@contextmanager
def claimed(
    client: Any, container: Container, own: str, gpus: Iterable[Gpu] | None = None, lock: Path | None = None
) -> Iterator[None]:
    """Start the container inside: until then the whole host waits, after it the container itself is the claim.

    The lock covers names and ports too, so it is held for containers without GPUs as well. Raises Taken where
    another container holds one of the GPUs, Failed where the lock cannot be had.
    """
    wanted = mine(container, own)
    with locked(path=lock):
        known = () if not wanted.gpus else _here() if gpus is None else gpus
        if known and (found := conflicts(wanted, holders(client), known)):
            raise Taken("the GPUs were taken meanwhile", why="; ".join(found), fix="run it again for others")
        yield


def _here() -> tuple[Gpu, ...]:
    from launch.hardware.detect import detect

    return detect().gpus
