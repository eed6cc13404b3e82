from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from errors import Refused
from launch.supervision import service

WAITS = """\
import sys, time
from launch.supervision import service
with service.only_supervisor(sys.argv[1]):
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of this test, and no systemd of the user."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(service, "_has_systemd", lambda: False)


def test_a_background_process_supervises_until_it_is_ended() -> None:
    command = ("env", "--default-signal=TERM", sys.executable, "-c", WAITS, "m2")
    assert service.start("m2", command, Path.cwd()) == "process"
    process = service.pid("m2")
    assert process is not None
    with (
        pytest.raises(Refused, match=f"'m2' is supervised already.*\n.*process {process}"),
        service.only_supervisor("m2"),
    ):
        pytest.fail("two supervisors")
    assert service.end("m2")
    os.waitpid(-1, 0)
    assert service.pid("m2") is None
    assert not service.end("m2")


def test_a_supervisor_does_not_end_itself() -> None:
    with service.only_supervisor("m2"):
        assert service.pid("m2") == os.getpid()
        assert not service.end("m2")


def test_the_unit_has_the_settings_of_this_user_and_no_secret() -> None:
    environ = {
        "HF_HUB_CACHE": "/data/hub 100%",
        "SLIPWAY_STATE_DIR": "/data/state",
        "HF_TOKEN": "hf_secret",
        "SLIPWAY_API_KEY": "secret",
        "EDITOR": "vi",
        "DOCKER_HOST": "unix:///run/docker.sock\nExecStartPre=/bin/sh",
    }
    text = service.unit_text("m2", ("/opt/my $HOME/python", "-m", "invoke"), Path("/srv"), environ)
    assert 'Environment="HF_HUB_CACHE=/data/hub 100%%"' in text
    assert 'ExecStart="/opt/my $$HOME/python" "-m" "invoke"' in text
    assert "secret" not in text
    assert "EDITOR" not in text
    assert "ExecStartPre" not in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "slipway-supervise-m2.service"
    unit.write_text(service.unit_text("m2", ("/bin/true", "a b"), Path("/"), {"HF_HOME": 'a "b" \\ c'}))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
