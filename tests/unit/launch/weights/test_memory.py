"""How much may be read ahead, on hosts that are folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.weights.memory import readable_ahead

GIB = 1 << 30


def host(root: Path, total: int, available: int, **cgroup: str) -> Path:
    """Write a host; `cgroup` has the files of this process's cgroup."""
    (root / "proc/self").mkdir(parents=True)
    lines = (
        f"MemTotal: {total * GIB >> 10} kB\nMemAvailable: {available * GIB >> 10} kB\nHugePages_Total: 0\n"
    )
    (root / "proc/meminfo").write_text(lines)
    (root / "proc/self/cgroup").write_text("0::/user.slice/session\n")
    folder = root / "sys/fs/cgroup/user.slice/session"
    folder.mkdir(parents=True)
    for name, text in cgroup.items():
        (folder / name.replace("_", ".")).write_text(text)
    return root


def test_a_tenth_of_the_memory_and_the_servers_own_stay_free(tmp_path: Path) -> None:
    root = host(tmp_path, total=100, available=80)
    assert readable_ahead(0, root=root) == pytest.approx(70 * GIB, abs=1 << 12)
    assert readable_ahead(30 * GIB, root=root) == pytest.approx(40 * GIB, abs=1 << 12)
    assert readable_ahead(75 * GIB, root=root) == 0


def test_the_limit_of_a_cgroup_counts_with_its_old_page_cache(tmp_path: Path) -> None:
    stat = f"anon 5\ninactive_file {1 * GIB}\n"
    files = {"memory_max": f"{8 * GIB}\n", "memory_current": f"{5 * GIB}\n", "memory_stat": stat}
    assert readable_ahead(0, root=host(tmp_path, 100, 80, **files)) == 4 * GIB


def test_a_cgroup_without_a_limit_does_not_count(tmp_path: Path) -> None:
    root = host(tmp_path, 100, 80, memory_max="max\n", memory_current="5\n")
    assert readable_ahead(0, root=root) == pytest.approx(70 * GIB, abs=1 << 12)


def test_nothing_is_read_for_a_server_that_exceeds_its_own_limit(tmp_path: Path) -> None:
    root = host(tmp_path, 100, 80)
    assert readable_ahead(20 * GIB, limit=10 * GIB, root=root) == 0
    assert readable_ahead(20 * GIB, limit=30 * GIB, root=root) > 0


def test_a_host_that_does_not_tell_its_memory_reads_nothing(tmp_path: Path) -> None:
    assert readable_ahead(0, root=tmp_path) == 0


def test_the_limit_of_a_cgroup_of_version_1_counts_too(tmp_path: Path) -> None:
    root = host(tmp_path, 100, 80)
    (root / "proc/self/cgroup").write_text("11:cpu,memory:/jobs/7\n0::/\n")
    folder = root / "sys/fs/cgroup/memory/jobs"  # the limit is that of the folder above
    (folder / "7").mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(f"{8 * GIB}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{6 * GIB}\n")
    (folder / "memory.stat").write_text(f"total_inactive_file {1 * GIB}\n")
    assert readable_ahead(0, root=root) == 3 * GIB
