"""Sizes that grow with the ranks of a container."""

from __future__ import annotations

from launch.access.sizes import GIB, pids_limit, shm_bytes, tmp_bytes
from tests.unit.launch.plan_builders import host


def test_shm_bytes_grows_with_the_ranks() -> None:
    assert shm_bytes(host("h200"), 8) == 16 * GIB
    assert shm_bytes(host("cpu"), 1) == GIB
    assert shm_bytes(host("cpu"), 4) == 2 * GIB


def test_tmp_bytes_grows_with_the_ranks_of_gpus() -> None:
    assert tmp_bytes(host("mi300x"), 8) == 9 * GIB
    assert tmp_bytes(host("cpu"), 4) == GIB


def test_pids_limit_holds_a_host_of_eight_cards_in_eight_partitions() -> None:
    """64 ranks with a thread for each of 384 CPUs, and as many compilers."""
    assert pids_limit(64) > 64 * (384 + 64) + 4 * 384
