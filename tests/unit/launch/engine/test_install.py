"""Starting and stopping a dockerd: only on a host that allows it, and never another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.engine import install
from tests.conftest import ROOT


def test_obstacle_for_a_normal_user_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "run as root" in install.obstacle()


def test_obstacle_without_apt_is_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert "no apt-get" in install.obstacle()


@pytest.mark.parametrize(
    ("pid", "is_kept"), [(os.getpid(), True), (2**22 + 1, False)], ids=["living", "gone"]
)
def test_remove_stale_pids_keeps_the_file_of_a_living_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int, is_kept: bool
) -> None:
    file = tmp_path / "docker.pid"
    file.write_text(str(pid))
    monkeypatch.setattr(install, "STALE_PIDS", (file,))
    install.remove_stale_pids()
    assert file.exists() is is_kept


def test_stop_never_stops_a_process_that_is_not_dockerd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lines = tmp_path / "dockerd.pid", list[str]()
    file.write_text(str(os.getpid()))
    monkeypatch.setattr(install, "PID", file)
    install.stop(lines.append)
    assert lines == ["no dockerd that Slipway started is running"]
    assert not file.exists()


def test_stop_runs_without_any_dependency() -> None:
    """`make engine-stop` uses the system's python3 before the virtual environment exists."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import launch.engine.install; "
        "print([name for name in sys.modules if 'site-packages' in str(getattr(sys.modules[name], '__file__', ''))])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
