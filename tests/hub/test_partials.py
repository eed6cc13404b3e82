"""What earlier fetches left, of this host and of others: the longest goes on, and its copy needs room."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import serve_folder
from launch.hub_server.repository import read_repository
from launch.weights.cache import Place
from launch.weights.fetch_plan import SPARE
from launch.weights.transfer import partial_file

from .conftest import BIG, MODEL, SIZES

Usage = namedtuple("Usage", "total used free")
HAVE = 12 << 20


@pytest.fixture
def own(folder: Path, cache: Path) -> Path:
    """Where this host's partial file of the large file is; another host has 12 MiB of it."""
    place, blob = Place(cache, MODEL), read_repository(folder, MODEL).by_path[BIG].etag
    place.blobs.mkdir(parents=True)
    other = place.blobs / f"{blob}.slipway-another-host.incomplete"
    other.write_bytes((folder / MODEL / BIG).read_bytes()[:HAVE])
    return partial_file.own(place, blob)


@pytest.mark.parametrize("short", [0, 1000, SIZES[BIG] + 1])
def test_ours_goes_on_from_the_longest(
    short: int, own: Path, folder: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    own.write_bytes((folder / MODEL / BIG).read_bytes()[:short].ljust(short, b"x"))
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=(BIG,)).fetched == SIZES[BIG] - HAVE


def test_one_that_is_longer_than_the_file_is_not_gone_on_from(
    own: Path, folder: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    (own.parent / f"{own.name.partition('.')[0]}.slipway-third.incomplete").write_bytes(bytes(SIZES[BIG] + 1))
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=(BIG,)).fetched == SIZES[BIG] - HAVE


def test_what_another_host_left_needs_room_here(
    own: Path, folder: Path, fetch: Callable[..., weights.Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SIZES[BIG] - HAVE + SPARE + 1
    monkeypatch.setattr(shutil, "disk_usage", lambda at: Usage(0, 0, free))
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="free"):
        fetch(hub.url, include=(BIG,))
    assert not own.exists()


def test_a_copy_that_an_earlier_version_did_not_finish_is_removed(
    own: Path, folder: Path, fetch: Callable[..., weights.Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = own.with_suffix(".copy")
    stale.write_bytes(b"x")
    monkeypatch.setattr(shutil, "disk_usage", lambda at: Usage(0, 0, 0 if stale.exists() else 1 << 40))
    with serve_folder(folder) as hub:
        fetch(hub.url, include=(BIG,))
    assert not stale.exists()


def test_a_folder_that_may_not_be_looked_into_is_named(
    own: Path, folder: Path, fetch: Callable[..., weights.Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(place: Place) -> None:
        raise PermissionError(13, "Permission denied", str(place.blobs))

    monkeypatch.setattr(partial_file, "found", forbidden)
    with serve_folder(folder) as hub, pytest.raises(SlipwayError, match="cannot look into"):
        fetch(hub.url, include=(BIG,))
