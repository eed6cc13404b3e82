"""One benchmark at a time on each server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from errors import Refused
from launch.bench.lock import neighbours, only_benchmark_of
from tests.conftest import ROOT

HOLD = """
import sys
from pathlib import Path
from launch.bench.lock import only_benchmark_of
with only_benchmark_of(sys.argv[1], "c0ffee", Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(server: str, folder: Path) -> subprocess.Popen[str]:
    """Return a process that holds the lock of a server until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, server, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_benchmark_of_a_server_is_refused_until_the_first_one_is_killed(tmp_path: Path) -> None:
    with hold("one", tmp_path) as first:
        with (
            pytest.raises(Refused, match="another benchmark of 'one' is running"),
            only_benchmark_of("one", "c0ffee", tmp_path),
        ):
            pass
        first.kill()
        first.wait()
        with only_benchmark_of("one", "c0ffee", tmp_path) as path:
            assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_of_another_server_is_a_neighbour(tmp_path: Path) -> None:
    with hold("other", tmp_path) as other, only_benchmark_of("one", "c0ffee", tmp_path) as own:
        assert neighbours(own) == ("other",)
        other.kill()
        other.wait()
        assert neighbours(own) == ()
