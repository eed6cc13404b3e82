"""Re-check, under a lock of the host, that the chosen GPUs are still free before their container starts.

A launch plans without the lock, because it may pull an image before it starts. The container itself is the reservation
once it runs.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch.allocation.holders import GpuSet, Holder, holders
from launch.hardware.types import Gpu
from launch.spec.plan import Container

if TYPE_CHECKING:
    from docker import DockerClient


class GpusTaken(Refused):
    """Another container took the GPUs of a plan before it started. A new plan may find other GPUs."""


def planned_holder(container: Container, name: str) -> Holder:
    """Return the container of a plan as a holder, before it exists."""
    gpus = GpuSet.of((*container.gpu_ids, *container.cdi, *container.devices))
    return Holder(name, gpus)


def conflicts(planned: Holder, running: Iterable[Holder], gpus: Iterable[Gpu]) -> list[str]:
    """Return the GPUs of the planned holder that a running one with another name has, as text."""
    others = [holder for holder in running if holder.name != planned.name]
    return [
        f"GPU {gpu.index}: container {holder.name}"
        for gpu in gpus
        for holder in others
        if planned.gpus.includes(gpu) and holder.gpus.includes(gpu)
    ]


@contextmanager
def reserved(
    client: DockerClient,
    container: Container,
    name: str,
    gpus: Iterable[Gpu] | None = None,
    lock: Path | None = None,
) -> Iterator[None]:
    """Hold the lock of the host while the caller starts the container.

    The lock also covers names and ports, so it is held for containers without GPUs. Raises GpusTaken if another
    container has one of the GPUs, Failed if the lock is not free in time.
    """
    planned = planned_holder(container, name)
    with locked(path=lock):
        if planned.gpus and (taken := conflicts(planned, holders(client), _host_gpus(gpus))):
            raise GpusTaken(
                "another container took the GPUs", why="; ".join(taken), fix="run the command again"
            )
        yield


def _host_gpus(gpus: Iterable[Gpu] | None) -> Iterable[Gpu]:
    if gpus is not None:
        return gpus
    from launch.hardware.detect import detect

    return detect().gpus


def lock_path() -> Path:
    """Return the lock file that all users of the host share."""
    folder = Path("/run/lock")
    return (folder if os.access(folder, os.W_OK) else Path("/tmp")) / "slipway-gpus.lock"


@contextmanager
def locked(timeout: float = 120.0, path: Path | None = None) -> Iterator[None]:
    """Keep other launches on this host from choosing GPUs. Raises Failed after `timeout` seconds of waiting.

    The kernel drops the lock when the process ends, so a crash leaves nothing behind.
    """
    path = path or lock_path()
    handle = open_lock(path)
    try:
        _wait(handle, path, timeout)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def open_lock(path: Path) -> int:
    """Return a handle for flock. In a sticky folder another user's file opens only without O_CREAT."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    for extra in (0, os.O_CREAT):
        try:
            handle = os.open(path, flags | extra, 0o644)
            with suppress(
                PermissionError
            ):  # the file of another user; a strict umask may have closed this user's
                os.fchmod(handle, 0o644)
            return handle
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Failed(
                f"cannot open the lock '{path}'", why=error.strerror or "", fix=f"ls -l {path}"
            ) from None
    raise Failed(
        f"cannot create the lock '{path}'", why="its folder does not exist", fix=f"mkdir -p {path.parent}"
    )


def _wait(handle: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                what, why = "another launch is choosing GPUs", f"it holds '{path}'"
                raise Failed(what, why=why, fix=f"fuser -v {path}") from None
            time.sleep(0.05)
