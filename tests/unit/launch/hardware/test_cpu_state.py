"""Read load, clocks, CPU times and energy counters from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

from launch.hardware import cpu_state, process

STAT = "cpu  1000 0 500 8000 100 0 50 350 0 0\ncpu0 1 0 0 0 0 0 0 0 0 0\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_read_splits_cpu_time_into_busy_and_stolen(tmp_path: Path) -> None:
    state = cpu_state.read(
        write(tmp_path, {"proc/stat": STAT, "proc/loadavg": "2.85 1.63 0.74 1/251 13117\n"})
    )
    assert (state.busy_seconds, state.stolen_seconds, state.total_seconds) == (15.5, 3.5, 100)
    assert state.load_average == 2.85


def test_read_takes_the_mean_clock(tmp_path: Path) -> None:
    cpus = "processor\t: 0\ncpu MHz\t\t: 2000.0\n\nprocessor\t: 1\ncpu MHz\t\t: 3000.0\n"
    assert cpu_state.read(write(tmp_path, {"proc/cpuinfo": cpus})).mhz == 2500


def test_read_of_a_host_without_these_files_knows_nothing_and_says_why(tmp_path: Path) -> None:
    state = cpu_state.read(tmp_path)
    assert (state.busy_seconds, state.load_average, state.mhz, state.packages) == (None, None, None, ())
    assert "no RAPL counters" in state.energy_reason


def test_read_takes_packages_and_leaves_out_their_parts(tmp_path: Path) -> None:
    base = "sys/class/powercap"
    files = {
        f"{base}/intel-rapl:0/name": "package-0\n",
        f"{base}/intel-rapl:0/energy_uj": "5000000\n",
        f"{base}/intel-rapl:0/max_energy_range_uj": "9000000\n",
        f"{base}/intel-rapl:0:0/name": "core\n",
        f"{base}/intel-rapl:0:0/energy_uj": "1\n",
    }
    state = cpu_state.read(write(tmp_path, files))
    assert state.packages == (cpu_state.Package("package-0", 5.0, 9.0),)
    assert state.energy_reason == ""


def test_cpu_seconds_adds_up_a_tree_of_processes(tmp_path: Path) -> None:
    def stat(pid: int, user: int, system: int) -> str:
        return f"{pid} (a) b) S 1 1 1 0 -1 4194560 0 0 0 0 {user} {system} 0 0 20 0 1 0 100"

    files = {
        "proc/7/stat": stat(7, 100, 50),
        "proc/7/task/7/children": "8 9 ",
        "proc/8/stat": stat(8, 200, 0),
        "proc/8/task/8/children": "",
    }
    assert process.cpu_seconds(7, write(tmp_path, files)) == 3.5
    assert process.cpu_seconds(6, tmp_path) is None
