"""Several hosts and one cache, on a file system that keeps the locks of each to itself (locks are no-ops here)."""

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
from launch import weights
from launch.hub_server import Fault, serve_folder
from launch.weights.cache import Place
from launch.weights.transfer import blob_lock
from tests.conftest import ROOT

from .conftest import BIG, MODEL, SIZES

HOST = """
import filelock, pathlib, socket, sys
from launch import weights
from launch.weights.transfer import blob_lock

name, model, cache, endpoint = sys.argv[1:]
socket.gethostname = lambda: name
filelock.FileLock.acquire = filelock.FileLock.release = lambda self, *words, **more: None
blob_lock.BEAT, blob_lock.SILENCE = 0.2, 3.0  # less than the large file takes
weights.fetch(model, cache=pathlib.Path(cache), endpoint=endpoint, streams=2)
"""


def host(name: str, cache: Path, endpoint: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", HOST, name, MODEL, str(cache), endpoint]
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT)


def claim(cache: Path, folder: Path, owner: str) -> Path:
    """A claim on the large file, made this moment."""
    blob = hashlib.sha256((folder / MODEL / BIG).read_bytes()).hexdigest()
    at = cache / ".locks" / "models--harbour--dinghy" / f"{blob}.claim"
    at.parent.mkdir(parents=True)
    at.write_text(owner)
    return at


def test_each_file_is_fetched_by_one_of_them(
    folder: Path, cache: Path, commit: str, assert_whole: Callable[[Path], None]
) -> None:
    slow = (Fault("trickle", match="model-*", rate=4 << 20),)
    with serve_folder(folder, faults=slow) as hub:
        hosts = [host(name, cache, hub.url) for name in ("north", "south", "west")]
        assert [one.wait(60) for one in hosts] == [0, 0, 0]
        asked = [(one.target, one.headers.get("range")) for one in hub.requests if "/storage" in one.target]
    assert len(asked) == len(set(asked))
    assert_whole(cache / "models--harbour--dinghy" / "snapshots" / commit)
    assert not list(cache.rglob("*.claim"))


def test_a_claim_that_does_not_say_yet_whose_it_is_holds(folder: Path, cache: Path) -> None:
    blob = claim(cache, folder, "").stem
    assert blob_lock.Locks(Place(cache, MODEL)).take(blob) == "another host"


def test_a_host_that_was_taken_for_dead_leaves_the_claim_to_the_next(folder: Path, cache: Path) -> None:
    at = claim(cache, folder, socket.gethostname())
    locks = blob_lock.Locks(Place(cache, MODEL))
    assert locks.take(at.stem) == ""
    at.write_text("other-host")
    locks.release(at.stem)
    assert at.read_text() == "other-host"


def test_a_host_that_gave_no_sign_of_life_for_a_while_is_not_waited_for(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    claim(cache, folder, "other-host")
    monkeypatch.setattr(blob_lock, "SILENCE", 0.5)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).fetched == sum(SIZES.values())


def test_a_claim_of_long_ago_is_not_listened_to(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    os.utime(claim(cache, folder, "other-host"), (1, 1))
    monkeypatch.setattr(blob_lock, "SILENCE", 10**9)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_ones_own_claim_of_a_fetch_that_was_killed_does_not_count(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., weights.Snapshot]
) -> None:
    claim(cache, folder, socket.gethostname())
    monkeypatch.setattr(blob_lock, "SILENCE", 10**9)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_a_claim_that_is_a_pipe_is_not_waited_at(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    at = claim(cache, folder, "other-host")
    at.unlink()
    os.mkfifo(at)
    with serve_folder(folder) as hub:
        assert fetch(hub.url).files == len(SIZES)


def test_a_claim_that_leads_elsewhere_is_not_written_through(
    folder: Path, cache: Path, tmp_path: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    at = claim(cache, folder, "other-host")
    at.unlink()
    at.symlink_to(tmp_path / "elsewhere")
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="is in the way"):
        fetch(hub.url)
    assert not (tmp_path / "elsewhere").exists()
