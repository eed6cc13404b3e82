"""Kills, Ctrl-C and parallel fetches: what a fetch leaves, and how the next one continues."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights.snapshot import Snapshot
from launch.weights.transfer.file_download import SPAN
from launch.weights.verify import verify_model
from tests.conftest import ROOT
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.faults import Fault, serve_folder
from tests.invocation import INTERRUPTIBLE

WORKERS = 3

# Fetch, and kill this process once so many bytes are hashed.
KILL_ITSELF = """
import os, pathlib, signal, sys
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot
from launch.weights.fetch import fetch_model
from launch.weights.verify import verify_model

limit, add = int(sys.argv[4]), TransferProgress.add

def count_bytes(progress, name, count):
    add(progress, name, count)
    if progress.done >= limit:
        os.kill(os.getpid(), signal.SIGKILL)

TransferProgress.add = count_bytes
fetch_model(sys.argv[1], cache=pathlib.Path(sys.argv[2]), endpoint=sys.argv[3], workers=int(sys.argv[5]))
"""


def start(*argv: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen([sys.executable, *argv], env=environ, cwd=ROOT, text=True)


def bytes_on_disk(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.glob("models--*/blobs/*"))


def test_fetch_continues_after_ten_kills_at_random_moments(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    total = sum(SIZES.values())
    with serve_folder(folder) as hub:
        for limit in sorted(random.Random(9).sample(range(total // 20, total), 10)):
            before = bytes_on_disk(cache)
            process = start("-c", KILL_ITSELF, MODEL, str(cache), hub.url, str(limit), str(WORKERS))
            assert process.wait(60) == -signal.SIGKILL
            # Everything hashed is on disk, and nothing of earlier fetches is lost.
            assert bytes_on_disk(cache) >= max(before, limit)
        assert_complete(fetch(hub.url).path)
        first_bytes = [first_byte(request.headers) for request in hub.requests if BIG in request.target]
    assert max(first_bytes) > SPAN, "the large file was continued"


def first_byte(headers: Mapping[str, str]) -> int:
    range_header = headers.get("range", "bytes=0-")
    return int(range_header.removeprefix("bytes=").partition("-")[0])


def test_three_processes_fetch_each_file_once(
    folder: Path, cache: Path, commit: str, assert_complete: Callable[[Path], None]
) -> None:
    slow = (Fault("trickle", match="model-00002*", rate=8 << 20),)
    with serve_folder(folder, faults=slow) as hub:
        code = KILL_ITSELF.replace("TransferProgress.add = count_bytes", "")
        argv = ("-c", code, MODEL, str(cache), hub.url, "0", "1")
        processes = [start(*argv) for _ in range(3)]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
        targets = sorted(request.target for request in hub.requests if request.target.startswith("/storage"))
    assert len(targets) == len(set(targets)) == 3, targets
    assert_complete(cache / "models--harbour--dinghy" / "snapshots" / commit)
    assert verify_model(MODEL, cache=cache, deep=True).bad == ()


def test_huggingface_hub_and_slipway_share_the_cache_at_the_same_time(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    download = "snapshot_download(sys.argv[1], cache_dir=sys.argv[2], endpoint=sys.argv[3])"
    code = f"import sys, huggingface_hub; huggingface_hub.{download}"
    with serve_folder(folder) as hub:
        other = start("-c", code, MODEL, str(cache), hub.url)
        assert_complete(fetch(hub.url).path)
        assert other.wait(60) == 0
    assert verify_model(MODEL, cache=cache, deep=True).bad == ()


def test_ctrl_c_ends_a_fetch_and_keeps_received_bytes(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder, faults=(Fault("stall", match=BIG, at=12 << 20, times=1),)) as hub:
        argv = ("-m", "invoke", "fetch", "--model", MODEL, "--cache", str(cache), "--streams", "1")
        process = start_cli(hub.url, *argv)
        wait_until(lambda: bytes_on_disk(cache) >= 11 << 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert bytes_on_disk(cache) >= 11 << 20
        assert_complete(fetch(hub.url).path)


def start_cli(endpoint: str, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, *argv],
        env={**os.environ, "HF_ENDPOINT": endpoint},
        cwd=ROOT,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 30 seconds")


def test_fetch_does_not_depend_on_a_clock_that_jumps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    real, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (next(jumps) % 3 - 1) * 86_400 * 365)
    with serve_folder(folder, faults=(Fault("reset", match=BIG, at=5 << 20, times=1),)) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_fetch_continues_another_hosts_partial_file(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    faults = (Fault("reset", match=BIG, at=12 << 20, times=1), Fault("status", match=BIG, status=403))
    with serve_folder(folder, faults=faults) as hub:
        monkeypatch.setattr("socket.gethostname", lambda: "other-host")
        with pytest.raises(SlipwayError):
            fetch(hub.url, workers=1)
    names = [path.name.partition(".slipway-")[2] for path in cache.glob("models--*/blobs/*.incomplete")]
    assert names == [f"other-host-{os.getuid()}.incomplete"]
    kept = bytes_on_disk(cache)
    assert kept > 1 << 20
    monkeypatch.setattr("socket.gethostname", lambda: "this-host")
    with serve_folder(folder) as hub:
        assert fetch(hub.url).fetched == sum(SIZES.values()) - kept
    assert not list(cache.glob("models--*/blobs/*.incomplete"))
