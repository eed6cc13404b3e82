"""One launch at a time chooses GPUs, over processes and after crashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import Failed
from launch.allocation.host_lock import locked
from tests.conftest import ROOT

HOLD = """import sys
from pathlib import Path
from launch.allocation.host_lock import locked
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


def test_the_second_waits_and_is_told_who_holds_it(other: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with pytest.raises(Failed, match="another launch is choosing GPUs"), locked(0.1, tmp_path / "lock"):
        pytest.fail("two processes hold the lock")


def test_it_is_free_when_its_holder_is_done(other: subprocess.Popen[bytes], tmp_path: Path) -> None:
    other.communicate(b"")
    with locked(5, tmp_path / "lock"):
        pass


def test_a_killed_holder_leaves_it_free(other: subprocess.Popen[bytes], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    with locked(5, tmp_path / "lock"):
        pass


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(1, tmp_path / "lock"):
        raise ValueError("inside")
    with locked(0, tmp_path / "lock"):
        pass


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failed, match="lock"), locked(0, tmp_path / "lock"):
        pytest.fail("a link was followed")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="folder"), locked(0, tmp_path / "no" / "lock"):
        pytest.fail("it was locked")
