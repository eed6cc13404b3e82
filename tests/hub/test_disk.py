"""Disks that are full, read-only or failing: received bytes stay, and the next fetch continues."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from errors import SlipwayError
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot, require_complete
from launch.weights.sources.hub import Hub
from launch.weights.sources.several import SeveralSources
from launch.weights.transfer import partial_file
from launch.weights.transfer.file_download import SPAN
from launch.weights.verify import verify_model
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES
from tests.hub.faults import serve_folder


def bytes_on_disk(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.glob("models--*/blobs/*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB, smaller than the model."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "slipway", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_fetch_fails_before_the_first_byte_if_the_disk_is_too_small(
    folder: Path, small_disk: Path, fetch: Callable[..., Snapshot]
) -> None:
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match=r"needs .* more, and .* has .* free"):
            fetch(hub.url, cache=small_disk / "cache")
        assert not [request for request in hub.requests if "resolve" in request.target]
    assert list(small_disk.iterdir()) == []


def test_fetch_continues_after_the_disk_was_full(
    folder: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    cache = small_disk / "cache"
    with serve_folder(folder) as hub:
        with monkeypatch.context() as patch:
            patch.setattr("launch.weights.preflight.require_space", lambda model, place, needed: None)
            with pytest.raises(SlipwayError, match="is full"):
                fetch(hub.url, cache=cache)
        kept = bytes_on_disk(cache)
        assert kept > 1 << 20
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        snapshot = fetch(hub.url, cache=cache)
    assert_complete(snapshot.path)
    assert snapshot.fetched <= sum(SIZES.values()) - kept + (16 << 10), (
        "received bytes were not fetched again"
    )


def test_a_full_disk_does_not_cost_a_source(
    folder: Path, small_disk: Path, assert_complete: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launch.weights.preflight.require_space", lambda model, place, needed: None)
    cache = small_disk / "cache"
    with serve_folder(folder) as one, serve_folder(folder) as two:
        sources = SeveralSources({"one": Hub(MODEL, one.url, QUICK), "two": Hub(MODEL, two.url, QUICK)})
        with pytest.raises(SlipwayError, match="is full"):
            fetch_model(MODEL, cache=cache, source=sources, policy=QUICK)
        assert bytes_on_disk(cache) > 1 << 20
        subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
        snapshot = fetch_model(MODEL, cache=cache, source=sources, policy=QUICK)
    assert_complete(snapshot.path)
    assert snapshot.fetched < sum(SIZES.values())


def test_fetch_and_verify_in_a_read_only_cache(
    folder: Path,
    small_disk: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
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
        assert_complete(fetch(hub.url, cache=cache).path)  # complete: nothing to write
        assert verify_model(MODEL, cache=cache, deep=True).bad == ()


def test_a_read_only_cache_that_hf_filled_is_verified_and_can_be_served(
    folder: Path,
    small_disk: Path,
    fetch: Callable[..., Snapshot],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "own"))
    cache = small_disk / "cache"
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    with serve_folder(folder) as hub:
        path = Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(SlipwayError, match="was never verified"):
            require_complete(MODEL, cache=cache)
        snapshot = fetch(hub.url, cache=cache)
    assert (snapshot.path, snapshot.fetched) == (path, 0)
    assert require_complete(MODEL, cache=cache).verified
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "another"))
    assert verify_model(MODEL, cache=cache, deep=True).ok
    assert require_complete(MODEL, cache=cache).verified
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    (path / BIG).resolve().write_bytes(bytes(SIZES[BIG]))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(SlipwayError, match="was changed since it was verified"):
        require_complete(MODEL, cache=cache)
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="is damaged in the read-only cache"):
        fetch(hub.url, cache=cache)


def test_fetch_keeps_only_what_a_failing_disk_has(
    folder: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    real, calls = os.fdatasync, iter(range(10**6))

    def failing(descriptor: int) -> None:
        if next(calls):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)
        forced.append(os.fstat(descriptor).st_size)

    forced: list[int] = []
    with serve_folder(folder) as hub:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", failing)
            with pytest.raises(SlipwayError, match=r"the disk of .* fails"):
                fetch(hub.url, include=("model-00001*",), workers=1)
        kept = bytes_on_disk(cache)
        assert SPAN // 2 <= kept <= max(forced)
        snapshot = fetch(hub.url)
    assert_complete(snapshot.path)
    assert snapshot.fetched == sum(SIZES.values()) - kept


def test_fetch_copies_another_hosts_partial_file_only_if_there_is_space(
    folder: Path, small_disk: Path, fetch: Callable[..., Snapshot]
) -> None:
    cache = small_disk / "cache"
    other = partial_of(folder, cache, "other-host")
    other.write_bytes(bytes(12 << 20))
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match=r"needs .* more"):
            fetch(hub.url, cache=cache, include=(BIG,))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SlipwayError, match="is full"):
            patch.setattr("launch.weights.preflight.require_space", lambda model, place, needed: None)
            fetch(hub.url, cache=cache, include=(BIG,))
    assert other.stat().st_size == 12 << 20
    assert not list(other.parent.glob("*.copy"))


def test_fetch_continues_the_longest_partial_file(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
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
