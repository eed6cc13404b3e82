import os

import pytest

from launch.engine import install


def test_a_normal_user_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "run as root" in install.remedy()


def test_without_apt_the_engine_is_the_users_to_install(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert "no apt-get" in install.remedy()


@pytest.mark.parametrize(("pid", "kept"), [("ours", True), ("nobody's", False)])
def test_only_the_pid_file_of_a_dead_daemon_is_cleared(tmp_path, monkeypatch, pid, kept):
    left = tmp_path / "docker.pid"
    left.write_text(str({"ours": os.getpid(), "nobody's": 2**22 + 1}[pid]))
    monkeypatch.setattr(install, "LEFTOVERS", (left,))
    install.clear_leftovers()
    assert left.exists() is kept


def test_a_pid_that_is_not_a_dockerd_is_never_ended(tmp_path, monkeypatch, capsys):
    ours = tmp_path / "dockerd.pid"
    ours.write_text(str(os.getpid()))
    monkeypatch.setattr(install, "PID", ours)
    install.stop()
    assert "no dockerd of ours" in capsys.readouterr().err
    assert not ours.exists()
