"""Kills, company, full disks: what a fetch leaves behind, and how the next one goes on from there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import Fault, serve_folder
from launch.weights.transfer.file_download import SPAN
from tests.conftest import ROOT
from tests.invocation import INTERRUPTIBLE

from .conftest import BIG, MODEL, SIZES

STREAMS = 3

# A fetch that kills itself, without a word to anyone, once so many bytes have landed.
DEADLY = """
import os, pathlib, signal, sys
from launch.weights.progress import TransferProgress
from launch import weights

limit, add = int(sys.argv[4]), TransferProgress.add

def deadly(meter, name, count):
    add(meter, name, count)
    if meter.done >= limit:
        os.kill(os.getpid(), signal.SIGKILL)

TransferProgress.add = deadly
weights.fetch(sys.argv[1], cache=pathlib.Path(sys.argv[2]), endpoint=sys.argv[3], streams=int(sys.argv[5]))
"""


def start(*argv: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen([sys.executable, *argv], env=environ, cwd=ROOT, text=True)


def on_disk(cache: Path) -> int:
    return sum(at.stat().st_size for at in cache.glob("models--*/blobs/*"))


def test_killed_at_ten_random_moments(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot], assert_whole: Callable[[Path], None]
) -> None:
    total = sum(SIZES.values())
    with serve_folder(folder) as hub:
        for limit in sorted(random.Random(9).sample(range(total // 20, total), 10)):
            before = on_disk(cache)
            process = start("-c", DEADLY, MODEL, str(cache), hub.url, str(limit), str(STREAMS))
            assert process.wait(60) == -signal.SIGKILL
            # Everything that had landed is there, and nothing of earlier fetches is lost.
            assert on_disk(cache) >= max(before, limit)
        assert_whole(fetch(hub.url).path)
        asked_again = [first_byte(request.headers) for request in hub.requests if BIG in request.target]
    assert max(asked_again) > SPAN, "the large file went on where it was"


def first_byte(headers: object) -> int:
    asked = str(dict(headers).get("range", "bytes=0-"))  # type: ignore[call-overload]
    return int(asked.removeprefix("bytes=").partition("-")[0])


def test_three_processes_at_once_fetch_each_file_once(
    folder: Path, cache: Path, commit: str, assert_whole: Callable[[Path], None]
) -> None:
    slow = (Fault("trickle", match="model-00002*", rate=8 << 20),)
    with serve_folder(folder, faults=slow) as hub:
        code = DEADLY.replace("TransferProgress.add = deadly", "")
        argv = ("-c", code, MODEL, str(cache), hub.url, "0", "1")
        processes = [start(*argv) for _ in range(3)]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
        stored = sorted(request.target for request in hub.requests if request.target.startswith("/storage"))
    assert len(stored) == len(set(stored)) == 3, stored
    assert_whole(cache / "models--harbour--dinghy" / "snapshots" / commit)
    assert weights.verify(MODEL, cache=cache, deep=True).bad == ()


def test_huggingface_hub_and_slipway_wait_for_each_other(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot], assert_whole: Callable[[Path], None]
) -> None:
    download = "snapshot_download(sys.argv[1], cache_dir=sys.argv[2], endpoint=sys.argv[3])"
    code = f"import sys, huggingface_hub; huggingface_hub.{download}"
    with serve_folder(folder) as hub:
        other = start("-c", code, MODEL, str(cache), hub.url)
        assert_whole(fetch(hub.url).path)
        assert other.wait(60) == 0
    assert weights.verify(MODEL, cache=cache, deep=True).bad == ()


def test_ctrl_c_stops_and_keeps_what_is_there(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot], assert_whole: Callable[[Path], None]
) -> None:
    with serve_folder(folder, faults=(Fault("stall", match=BIG, at=12 << 20, times=1),)) as hub:
        argv = ("-m", "invoke", "fetch", "--model", MODEL, "--cache", str(cache), "--streams", "1")
        process = start_cli(hub.url, *argv)
        wait_until(lambda: on_disk(cache) >= 11 << 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert on_disk(cache) >= 11 << 20
        assert_whole(fetch(hub.url).path)


def start_cli(endpoint: str, *argv: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "HF_ENDPOINT": endpoint}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, *argv], env=environ, cwd=ROOT, text=True, **quiet
    )


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def test_a_clock_that_jumps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    real, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (next(jumps) % 3 - 1) * 86_400 * 365)
    with serve_folder(folder, faults=(Fault("reset", match=BIG, at=5 << 20, times=1),)) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_another_hosts_partial_file_is_continued(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    faults = (Fault("reset", match=BIG, at=12 << 20, times=1), Fault("status", match=BIG, status=403))
    with serve_folder(folder, faults=faults) as hub:
        monkeypatch.setattr("socket.gethostname", lambda: "other-host")
        with pytest.raises(SlipwayError):
            fetch(hub.url, streams=1)
    left = [at.name.partition(".slipway-")[2] for at in cache.glob("models--*/blobs/*.incomplete")]
    assert left == ["other-host.incomplete"]
    kept = on_disk(cache)
    assert kept > 1 << 20
    monkeypatch.setattr("socket.gethostname", lambda: "this-host")
    with serve_folder(folder) as hub:
        assert fetch(hub.url).fetched == sum(SIZES.values()) - kept
    assert not list(cache.glob("models--*/blobs/*.incomplete"))
