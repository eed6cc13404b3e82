"""The lock of the host: one launch at a time chooses GPUs, across processes and after crashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import Failed
from launch.allocation.reservation import locked
from tests.conftest import ROOT

HOLD = """import sys
from pathlib import Path
from launch.allocation.reservation import locked
with locked(path=Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_locked_refuses_a_second_process_after_the_timeout(
    other: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with pytest.raises(Failed, match="another launch is choosing GPUs"), locked(0.1, tmp_path / "lock"):
        pytest.fail("two processes hold the lock")


def test_locked_is_free_after_its_holder_ends(other: subprocess.Popen[bytes], tmp_path: Path) -> None:
    other.communicate(b"")
    with locked(5, tmp_path / "lock"):
        pass


def test_locked_is_free_after_its_holder_is_killed(other: subprocess.Popen[bytes], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    with locked(5, tmp_path / "lock"):
        pass


def test_locked_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(1, tmp_path / "lock"):
        raise ValueError("inside")
    with locked(0, tmp_path / "lock"):
        pass


def test_locked_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failed, match="cannot open the lock"), locked(0, tmp_path / "lock"):
        pytest.fail("a link was followed")
    assert not (tmp_path / "elsewhere").exists()


def test_locked_names_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot create the lock"), locked(0, tmp_path / "no" / "lock"):
        pytest.fail("a lock without a folder")
