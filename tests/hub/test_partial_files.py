"""Partial files of earlier fetches, of this host and of others."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.hub_server.model_folder import read_repository
from launch.weights.cache import ModelFolder
from launch.weights.preflight import RESERVE
from launch.weights.snapshot import Snapshot
from launch.weights.transfer import partial_file
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.faults import serve_folder

Usage = namedtuple("Usage", "total used free")
LENGTH = 12 << 20


@pytest.fixture
def own(folder: Path, cache: Path) -> Path:
    """The path of this host's partial file of the large file; another host has 12 MiB of it."""
    place, blob = ModelFolder(cache, MODEL), read_repository(folder, MODEL).by_path[BIG].etag
    place.blobs.mkdir(parents=True)
    other = place.blobs / f"{blob}.slipway-another-host.incomplete"
    other.write_bytes((folder / MODEL / BIG).read_bytes()[:LENGTH])
    return partial_file.own(place, blob)


@pytest.mark.parametrize("length", [0, 1000, SIZES[BIG] + 1])
def test_fetch_continues_the_longest_partial_file(
    length: int, own: Path, folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    own.write_bytes((folder / MODEL / BIG).read_bytes()[:length].ljust(length, b"x"))
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=(BIG,)).fetched == SIZES[BIG] - LENGTH


def test_fetch_ignores_a_partial_file_that_is_longer_than_the_file(
    own: Path, folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    (own.parent / f"{own.name.partition('.')[0]}.slipway-third.incomplete").write_bytes(bytes(SIZES[BIG] + 1))
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=(BIG,)).fetched == SIZES[BIG] - LENGTH


def test_fetch_needs_space_for_a_copy_of_another_hosts_partial_file(
    own: Path, folder: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SIZES[BIG] - LENGTH + RESERVE + 1
    monkeypatch.setattr(shutil, "disk_usage", lambda at: Usage(0, 0, free))
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="free"):
        fetch(hub.url, include=(BIG,))
    assert not own.exists()


def test_fetch_removes_an_incomplete_copy_of_an_earlier_version(
    own: Path, folder: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = own.with_name(f"{own.name.partition('.')[0]}.slipway-{partial_file.host()}.copy")
    stale.write_bytes(b"x")
    monkeypatch.setattr(shutil, "disk_usage", lambda at: Usage(0, 0, 0 if stale.exists() else 1 << 40))
    with serve_folder(folder) as hub:
        fetch(hub.url, include=(BIG,))
    assert not stale.exists()


def test_fetch_names_a_folder_that_it_may_not_read(
    own: Path, folder: Path, fetch: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(place: ModelFolder) -> None:
        raise PermissionError(13, "Permission denied", str(place.blobs))

    monkeypatch.setattr(partial_file, "find", forbidden)
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="cannot read the folder"):
        fetch(hub.url, include=(BIG,))
