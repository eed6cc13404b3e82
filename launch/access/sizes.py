"""Sizes of a container that grow with its ranks: shared memory, the temporary folder, processes and threads."""

from __future__ import annotations

from launch.spec.inputs import Host

GIB = 2**30
# Counted for a host with 384 CPUs (docs/explanation/access.md): a rank has at most 384 threads of OpenMP, 64 of
# OpenBLAS, 32 processes that compile, and those of driver and NCCL. The rest is for API servers and compilers.
PIDS, PIDS_PER_RANK = 4096, 1024


def shm_bytes(host: Host, ranks: int) -> int:
    """Return the size of /dev/shm: 2 GiB a GPU rank (upstream: 16 GiB for 8), 0.5 GiB a CPU rank, at least 1."""
    per_rank = GIB // 2 if host.hardware.platform == "cpu" else 2 * GIB
    return max(GIB, ranks * per_rank)


def tmp_bytes(host: Host, ranks: int) -> int:
    """Return the size limit of /tmp: 1 GiB, and 1 GiB more for each GPU rank, which compiles kernels there."""
    return GIB if host.hardware.platform == "cpu" else GIB * (1 + ranks)


def pids_limit(ranks: int) -> int:
    """Return the limit of processes and threads: those of the API server and the compilers, and those of each rank."""
    return PIDS + PIDS_PER_RANK * ranks
