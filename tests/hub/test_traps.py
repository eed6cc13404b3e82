"""A cache that others may write too: names that lead elsewhere, pipes that never end, folders in the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import serve_folder
from launch.hub_server.repository import read_repository
from launch.weights.cache import Place
from launch.weights.transfer import partial_file

from .conftest import BIG, MODEL, SIZES


@dataclass(frozen=True)
class Spot:
    """Where things are, and a file of somebody else's."""

    place: Place
    blob: str
    commit: str
    precious: Path

    @property
    def own(self) -> Path:
        return partial_file.own(self.place, self.blob)

    @property
    def another(self) -> Path:
        return self.place.blobs / f"{self.blob}.slipway-another-host.incomplete"


@pytest.fixture
def spot(folder: Path, cache: Path, tmp_path: Path) -> Spot:
    """An empty cache, and a file outside it that nobody may touch."""
    repository = read_repository(folder, MODEL)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    place = Place(cache, MODEL)
    for at in (place.blobs, place.folder / "refs"):
        at.mkdir(parents=True)
    return Spot(place, repository.by_path[BIG].etag, repository.commit, precious)


def copy_is_a_link(spot: Spot) -> None:
    spot.another.write_bytes(b"what another host has")
    spot.own.with_suffix(".copy").symlink_to(spot.precious)


def folder_leads_out(spot: Spot) -> None:
    at = spot.place.snapshot(spot.commit)
    at.mkdir(parents=True)
    (at / "nested").symlink_to(spot.precious.parent)


def snapshot_leads_out(spot: Spot) -> None:
    spot.place.snapshot(spot.commit).parent.mkdir()
    spot.place.snapshot(spot.commit).symlink_to(spot.precious.parent)


def snapshots_lead_out(spot: Spot) -> None:
    (spot.place.folder / "snapshots").symlink_to(spot.precious.parent)


TRAPS: dict[str, tuple[Callable[[Spot], object], str]] = {
    "our partial file is a link": (lambda spot: spot.own.symlink_to(spot.precious), ""),
    "our partial file is a link to nowhere": (lambda spot: spot.own.symlink_to("nowhere"), ""),
    "our partial file is a pipe": (lambda spot: os.mkfifo(spot.own), ""),
    "our partial file is a folder": (lambda spot: spot.own.mkdir(), "is in the way"),
    "another's partial file is a pipe": (lambda spot: os.mkfifo(spot.another), ""),
    "another's partial file never ends": (lambda spot: spot.another.symlink_to("/dev/zero"), ""),
    "what it is copied to is a link": (copy_is_a_link, ""),
    "the blob is a link": (lambda spot: (spot.place.blobs / spot.blob).symlink_to(spot.precious), ""),
    "the blob is a folder": (lambda spot: (spot.place.blobs / spot.blob).mkdir(), "is in the way"),
    "the branch is noise": (lambda spot: spot.place.ref("main").write_bytes(b"\xff\xfe\0"), ""),
    "the branch is a folder": (lambda spot: spot.place.ref("main").mkdir(), "is in the way"),
    "a folder of the snapshot leads out": (folder_leads_out, "is in the way"),
    "the snapshot leads out": (snapshot_leads_out, "is in the way"),
    "all snapshots lead out": (snapshots_lead_out, "is in the way"),
}


@pytest.mark.parametrize("what", TRAPS)
def test_nothing_is_written_through_or_waited_for(
    what: str,
    spot: Spot,
    folder: Path,
    fetch: Callable[..., weights.Snapshot],
    assert_whole: Callable[[Path], None],
) -> None:
    lay, error = TRAPS[what]
    lay(spot)
    beside = sorted(spot.precious.parent.iterdir())
    with serve_folder(folder) as hub:
        if error:
            with pytest.raises(SlipwayError, match=error):
                fetch(hub.url)
        else:
            assert_whole(fetch(hub.url).path)
    assert spot.precious.read_text() == "precious"
    assert sorted(spot.precious.parent.iterdir()) == beside


def test_a_folder_in_the_place_of_a_blob_is_found_before_the_first_byte(
    spot: Spot, folder: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    (spot.place.blobs / spot.blob).mkdir()
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match="is in the way"):
            fetch(hub.url, include=(BIG,))
        assert not [request for request in hub.requests if request.target.startswith("/storage")]


def test_a_cache_that_is_a_link(
    folder: Path, tmp_path: Path, fetch: Callable[..., weights.Snapshot], assert_whole: Callable[[Path], None]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match="is not a folder") as raised:
            fetch(hub.url, cache=tmp_path / "link")
        assert "link to" in raised.value.why
        (tmp_path / "disk").mkdir()
        assert_whole(fetch(hub.url, cache=tmp_path / "link").path)


@pytest.mark.parametrize("bytes_are_right", [True, False])
def test_a_name_that_points_elsewhere_is_not_served(
    bytes_are_right: bool, spot: Spot, folder: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    name = "config.json"
    with serve_folder(folder) as hub:
        path = fetch(hub.url).path
        right = (path / name).read_bytes()
        spot.precious.write_bytes(right if bytes_are_right else bytes(SIZES[name]))
        (path / name).unlink()
        (path / name).symlink_to(spot.precious)
        with pytest.raises(SlipwayError, match="incomplete"):  # the container would not find it
            weights.check(MODEL, cache=spot.place.cache)
        fetch(hub.url)
    assert weights.verify(MODEL, cache=spot.place.cache, deep=True).bad == ()
    assert (path / name).read_bytes() == right


def test_another_kind_of_thing_under_a_name_is_mended(
    spot: Spot, folder: Path, fetch: Callable[..., weights.Snapshot], assert_whole: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        path = fetch(hub.url).path
        (path / "config.json").unlink()
        os.mkfifo(path / "config.json")
        report = weights.verify(MODEL, cache=spot.place.cache, deep=True, repair=True, endpoint=hub.url)
    assert report.mended == ("config.json is no file",)
    assert_whole(path)


@pytest.mark.parametrize("trap", [os.mkfifo, lambda at: at.symlink_to("/dev/zero")], ids=["pipe", "no end"])
def test_a_branch_or_a_manifest_that_never_ends_is_not_read(
    trap: Callable[[Path], None], spot: Spot, folder: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    trap(spot.place.ref("main"))
    with serve_folder(folder) as hub:
        fetch(hub.url)
    assert spot.place.commit("main") == spot.commit
    manifest = spot.place.manifest(spot.commit)
    manifest.unlink()
    trap(manifest)
    with pytest.raises(SlipwayError, match="cannot read the manifest"):
        weights.check(MODEL, cache=spot.place.cache)
