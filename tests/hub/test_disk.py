"""Disks that are full, read-only or failing: what came stays, and the next fetch goes on from there."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import serve_folder
from launch.weights.transfer import partial_file
from launch.weights.transfer.file_download import SPAN

from .conftest import BIG, MODEL, SIZES


def on_disk(cache: Path) -> int:
    return sum(at.stat().st_size for at in cache.glob("models--*/blobs/*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB, smaller than the model."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "slipway", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one: run as root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_too_small_a_disk_is_found_before_the_first_byte(
    folder: Path, small_disk: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match=r"needs .* more, and .* has .* free"):
            fetch(hub.url, cache=small_disk / "cache")
        assert not [request for request in hub.requests if "resolve" in request.target]
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way(
    folder: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[..., weights.Snapshot],
    assert_whole: Callable[[Path], None],
) -> None:
    cache = small_disk / "cache"
    with serve_folder(folder) as hub:
        with monkeypatch.context() as patched:
            patched.setattr("launch.weights.fetch.require_room", lambda place, needed: None)
            with pytest.raises(SlipwayError, match="is full"):
                fetch(hub.url, cache=cache)
        kept = on_disk(cache)
        assert kept > 1 << 20
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        found = fetch(hub.url, cache=cache)
    assert_whole(found.path)
    assert found.fetched <= sum(SIZES.values()) - kept + (16 << 10), "what had come was not fetched again"


def test_a_read_only_cache(
    folder: Path,
    small_disk: Path,
    fetch: Callable[..., weights.Snapshot],
    assert_whole: Callable[[Path], None],
) -> None:
    cache = small_disk / "cache"
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    with serve_folder(folder) as hub:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(SlipwayError, match="cannot write to"):
            fetch(hub.url, cache=cache)
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        fetch(hub.url, cache=cache)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        assert_whole(fetch(hub.url, cache=cache).path)  # all is there: nothing to write
        assert weights.verify(MODEL, cache=cache, deep=True).bad == ()


def test_a_disk_that_fails_keeps_what_it_has_and_no_more(
    folder: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[..., weights.Snapshot],
    assert_whole: Callable[[Path], None],
) -> None:
    real, calls = os.fdatasync, iter(range(10**6))

    def failing(descriptor: int) -> None:
        if next(calls):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)
        forced.append(os.fstat(descriptor).st_size)

    forced: list[int] = []
    with serve_folder(folder) as hub:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", failing)
            with pytest.raises(SlipwayError, match=r"the disk of .* fails"):
                fetch(hub.url, include=("model-00001*",), streams=1)
        kept = on_disk(cache)
        assert SPAN // 2 <= kept <= max(forced)
        found = fetch(hub.url)
    assert_whole(found.path)
    assert found.fetched == sum(SIZES.values()) - kept


def test_another_hosts_partial_file_is_copied_only_where_there_is_room(
    folder: Path, small_disk: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    cache = small_disk / "cache"
    other = partial_of(folder, cache, "other-host")
    other.write_bytes(bytes(12 << 20))
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match=r"needs .* more"):
            fetch(hub.url, cache=cache, include=(BIG,))
        with pytest.MonkeyPatch.context() as patched, pytest.raises(SlipwayError, match="is full"):
            patched.setattr("launch.weights.fetch.require_room", lambda place, needed: None)
            fetch(hub.url, cache=cache, include=(BIG,))
    assert other.stat().st_size == 12 << 20
    assert not list(other.parent.glob("*.copy"))


def test_the_longest_partial_file_is_continued(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    data = (folder / MODEL / BIG).read_bytes()
    for name, size in ((partial_file.host(), 1000), ("other-host", 12 << 20), ("third-host", SIZES[BIG] + 1)):
        partial_of(folder, cache, name).write_bytes((data + b"x")[:size])
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=(BIG,)).fetched == SIZES[BIG] - (12 << 20)


def partial_of(folder: Path, cache: Path, host: str) -> Path:
    blobs = cache / "models--harbour--dinghy" / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    blob = hashlib.sha256((folder / MODEL / BIG).read_bytes()).hexdigest()
    return blobs / f"{blob}.slipway-{host}.incomplete"
