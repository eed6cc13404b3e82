"""Several hosts with one cache, on a file system that does not share locks (locks do nothing here)."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.weights.cache import ModelFolder
from launch.weights.snapshot import Snapshot
from launch.weights.transfer import blob_lock
from tests.conftest import ROOT
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.faults import Fault, serve_folder

HOST = """
import filelock, pathlib, socket, sys
from launch.weights.fetch import fetch_model
from launch.weights.transfer import blob_lock

name, model, cache, endpoint = sys.argv[1:]
socket.gethostname = lambda: name
filelock.FileLock.acquire = filelock.FileLock.release = lambda self, *words, **more: None
blob_lock.TOUCH_INTERVAL, blob_lock.SILENCE = 0.2, 3.0  # less than the large file takes
fetch_model(model, cache=pathlib.Path(cache), endpoint=endpoint, workers=2)
"""


def start_host(name: str, cache: Path, endpoint: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", HOST, name, MODEL, str(cache), endpoint]
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT)


def claim(cache: Path, folder: Path, owner: str) -> Path:
    """Create a claim on the large file."""
    blob = hashlib.sha256((folder / MODEL / BIG).read_bytes()).hexdigest()
    at = cache / ".locks" / "models--harbour--dinghy" / f"{blob}.claim"
    at.parent.mkdir(parents=True)
    at.write_text(owner)
    return at


def test_hosts_fetch_each_file_once(
    folder: Path, cache: Path, commit: str, assert_complete: Callable[[Path], None]
) -> None:
    slow = (Fault("trickle", match="model-*", rate=4 << 20),)
    with serve_folder(folder, faults=slow) as hub:
        hosts = [start_host(name, cache, hub.url) for name in ("north", "south", "west")]
        assert [one.wait(60) for one in hosts] == [0, 0, 0]
        requests = [
            (one.target, one.headers.get("range")) for one in hub.requests if "/storage" in one.target
        ]
    assert len(requests) == len(set(requests))
    assert_complete(cache / "models--harbour--dinghy" / "snapshots" / commit)
    assert not list(cache.rglob("*.claim"))


def test_an_empty_claim_is_valid(folder: Path, cache: Path) -> None:
    blob = claim(cache, folder, "").stem
    assert blob_lock.BlobLocks(ModelFolder(cache, MODEL)).take(blob) == "another host"


def test_release_keeps_a_claim_that_another_host_has_taken(folder: Path, cache: Path) -> None:
    at = claim(cache, folder, socket.gethostname())
    locks = blob_lock.BlobLocks(ModelFolder(cache, MODEL))
    assert locks.take(at.stem) == ""
    at.write_text("other-host")
    locks.release(at.stem)
    assert at.read_text() == "other-host"


def test_a_claim_that_is_not_touched_becomes_void(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    claim(cache, folder, "other-host")
    monkeypatch.setattr(blob_lock, "SILENCE", 0.5)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).fetched == sum(SIZES.values())


def test_an_old_claim_is_void_at_once(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    os.utime(claim(cache, folder, "other-host"), (1, 1))
    monkeypatch.setattr(blob_lock, "SILENCE", 10**9)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_this_hosts_own_claim_of_a_killed_fetch_is_void(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Snapshot]
) -> None:
    claim(cache, folder, socket.gethostname())
    monkeypatch.setattr(blob_lock, "SILENCE", 10**9)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_a_claim_that_is_a_pipe_is_void(folder: Path, cache: Path, fetch: Callable[..., Snapshot]) -> None:
    at = claim(cache, folder, "other-host")
    at.unlink()
    os.mkfifo(at)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_a_claim_that_is_a_link_is_not_followed(
    folder: Path, cache: Path, tmp_path: Path, fetch: Callable[..., Snapshot]
) -> None:
    at = claim(cache, folder, "other-host")
    at.unlink()
    at.symlink_to(tmp_path / "elsewhere")
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="is in the way"):
        fetch(hub.url)
    assert not (tmp_path / "elsewhere").exists()
