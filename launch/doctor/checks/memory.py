"""Check shared memory and locked memory."""

from __future__ import annotations

from collections.abc import Iterator

from launch.doctor.facts import Facts
from launch.doctor.finding import Finding, info, ok, warning

SHM_PER_RANK = 2 << 30  # the share of a GPU rank in a plan's /dev/shm (launch/access/profiles.py)


def shared(facts: Facts) -> Iterator[Finding]:
    """Check the memory for /dev/shm: a container has its own, of the size in the plan."""
    ranks = sum(gpu.ranks for gpu in facts.hardware.for_platform(facts.platform).gpus)
    needed, available = ranks * SHM_PER_RANK, facts.hardware.cpu.available
    if needed and available and available < needed:
        yield warning(
            "shm",
            f"{available / 2**30:.0f} GiB of memory are available, {ranks} ranks share up to {needed / 2**30:.0f}",
            "ranks exchange tensors through /dev/shm, which is memory",
            "free -g  # then stop what uses the memory",
        )
    elif facts.kernel.shm is not None:
        size = f"{facts.kernel.shm / 2**30:.0f} GiB"
        yield ok("shm", f"/dev/shm of the host: {size}; each container has its own")


def locked(facts: Facts) -> Iterator[Finding]:
    """Check the limit of locked memory, which InfiniBand needs."""
    limit = facts.kernel.memlock
    if limit is not None and facts.platform != "cpu":
        yield info(
            "ulimits",
            f"this user can lock {limit / 2**20:.0f} MiB of memory",
            "only --access rdma needs more, and requests it from the engine",
        )


CHECKS = (shared, locked)
