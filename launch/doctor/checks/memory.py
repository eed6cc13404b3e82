"""Shared memory and locked memory."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, info, ok, warning

A_RANK = 2 << 30  # what a plan gives a GPU rank (launch/access/profiles.py)


def shared(facts: Facts) -> Iterator[Finding]:
    """A container has a /dev/shm of its own, as large as the plan says; it is paid with memory."""
    ranks = sum(gpu.ranks for gpu in facts.hardware.for_platform(facts.platform).gpus)
    need, have = ranks * A_RANK, facts.hardware.cpu.available
    if need and have and have < need:
        yield warning(
            "shm",
            f"{have / 2**30:.0f} GiB of memory are available, {ranks} ranks share up to {need / 2**30:.0f}",
            "tensors between ranks go through /dev/shm, which is memory",
            "free -g  # end what uses it",
        )
    elif facts.kernel.shm is not None:
        yield ok("shm", f"/dev/shm of the host: {facts.kernel.shm / 2**30:.0f} GiB; containers get their own")


def locked(facts: Facts) -> Iterator[Finding]:
    """InfiniBand registers memory: the rdma profile wants no limit."""
    limit = facts.kernel.memlock
    if limit is not None and facts.platform != "cpu":
        yield info(
            "ulimits",
            f"this user may lock {limit / 2**20:.0f} MiB of memory",
            "only --access rdma needs more; it asks the engine for it",
        )


CHECKS = (shared, locked)
