from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from launch.weights.schedule import schedule

COMMAND = (
    "/opt/slip way/python",
    "-m",
    "invoke",
    "verify",
    "org/model",
    "--cache",
    "/data/100%/$x",
    "--deep",
)


def written(folder: Path) -> dict[str, str]:
    """Write the printed units as their comments name them; return the texts by file name."""
    parts = schedule("org/model", COMMAND, Path("/srv")).split("# ~/.config/systemd/user/")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def test_the_service_runs_the_command_with_the_lowest_priority(tmp_path: Path) -> None:
    service = written(tmp_path)["slipway-verify-org-model.service"]
    assert 'ExecStart="/opt/slip way/python" "-m" "invoke" "verify" "org/model" "--cache"' in service
    assert '"/data/100%%/$$x" "--deep"\n' in service
    assert "Nice=19\nIOSchedulingClass=idle\n" in service


def test_the_cron_line_is_one_line_that_a_shell_reads_as_the_command() -> None:
    line = schedule("org/model", COMMAND, Path("/srv")).splitlines()[-1]
    words = shlex.split(line.removeprefix("# 17 3 * * 0 ").replace(r"\%", "%"))
    assert words == ["cd", "/srv", "&&", "nice", "-n", "19", *COMMAND, ">/dev/null"]
    assert "100\\%" in line


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name, text in written(tmp_path).items():
        (tmp_path / name).write_text(text.replace("/opt/slip way/python", "/bin/true"))
    timer = tmp_path / "slipway-verify-org-model.timer"
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(timer)],
        check=False,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
