"""A cache that other users can write to: links to elsewhere, pipes, endless files, folders in the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.hub_server.model_folder import read_repository
from launch.weights.cache import ModelFolder
from launch.weights.snapshot import Snapshot, require_complete
from launch.weights.transfer import partial_file
from launch.weights.verify import verify_model
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.faults import serve_folder


@dataclass(frozen=True)
class Paths:
    """The paths of a model in the cache, and a file outside it."""

    folder: ModelFolder
    blob: str
    commit: str
    outside: Path

    @property
    def own(self) -> Path:
        return partial_file.own(self.folder, self.blob)

    @property
    def other(self) -> Path:
        return self.folder.blobs / f"{self.blob}.slipway-another-host.incomplete"


@pytest.fixture
def paths(folder: Path, cache: Path, tmp_path: Path) -> Paths:
    """Create an empty cache, and a file outside it that must not change."""
    repository = read_repository(folder, MODEL)
    outside = tmp_path / "outside"
    outside.write_text("outside")
    model = ModelFolder(cache, MODEL)
    for path in (model.blobs, model.path / "refs"):
        path.mkdir(parents=True)
    return Paths(model, repository.by_path[BIG].etag, repository.commit, outside)


def link_old_copy(paths: Paths) -> None:
    paths.other.write_bytes(b"what another host has")
    (paths.folder.blobs / f"{paths.blob}.slipway-{partial_file.host()}.copy").symlink_to(paths.outside)


def link_subfolder(paths: Paths) -> None:
    snapshot = paths.folder.snapshot(paths.commit)
    snapshot.mkdir(parents=True)
    (snapshot / "nested").symlink_to(paths.outside.parent)


def link_snapshot(paths: Paths) -> None:
    paths.folder.snapshot(paths.commit).parent.mkdir()
    paths.folder.snapshot(paths.commit).symlink_to(paths.outside.parent)


def link_snapshots(paths: Paths) -> None:
    (paths.folder.path / "snapshots").symlink_to(paths.outside.parent)


TRAPS: dict[str, tuple[Callable[[Paths], object], str]] = {
    "this host's partial file is a link": (lambda paths: paths.own.symlink_to(paths.outside), ""),
    "this host's partial file is a link to nowhere": (lambda paths: paths.own.symlink_to("nowhere"), ""),
    "this host's partial file is a pipe": (lambda paths: os.mkfifo(paths.own), ""),
    "this host's partial file is a folder": (lambda paths: paths.own.mkdir(), "is in the way"),
    "another host's partial file is a pipe": (lambda paths: os.mkfifo(paths.other), ""),
    "another host's partial file is endless": (lambda paths: paths.other.symlink_to("/dev/zero"), ""),
    "an old copy is a link": (link_old_copy, ""),
    "the blob is a link": (lambda paths: (paths.folder.blobs / paths.blob).symlink_to(paths.outside), ""),
    "the blob is a folder": (lambda paths: (paths.folder.blobs / paths.blob).mkdir(), "is in the way"),
    "the ref is not text": (lambda paths: paths.folder.ref("main").write_bytes(b"\xff\xfe\0"), ""),
    "the ref is a folder": (lambda paths: paths.folder.ref("main").mkdir(), "is in the way"),
    "a folder of the snapshot is a link": (link_subfolder, "is in the way"),
    "the snapshot is a link": (link_snapshot, "is in the way"),
    "the folder of all snapshots is a link": (link_snapshots, "is in the way"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_fetch_follows_no_link_and_waits_for_no_pipe(
    trap: str,
    paths: Paths,
    folder: Path,
    fetch: Callable[..., Snapshot],
    assert_complete: Callable[[Path], None],
) -> None:
    set_trap, error = TRAPS[trap]
    set_trap(paths)
    neighbours = sorted(paths.outside.parent.iterdir())
    with serve_folder(folder) as hub:
        if error:
            with pytest.raises(SlipwayError, match=error):
                fetch(hub.url)
        else:
            assert_complete(fetch(hub.url).path)
    assert paths.outside.read_text() == "outside"
    assert sorted(paths.outside.parent.iterdir()) == neighbours


def test_fetch_fails_before_the_first_byte_if_a_blob_is_a_folder(
    paths: Paths, folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    (paths.folder.blobs / paths.blob).mkdir()
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match="is in the way"):
            fetch(hub.url, include=(BIG,))
        assert not [request for request in hub.requests if request.target.startswith("/storage")]


def test_fetch_into_a_cache_that_is_a_link(
    folder: Path, tmp_path: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with serve_folder(folder) as hub:
        with pytest.raises(SlipwayError, match="is not a folder") as error:
            fetch(hub.url, cache=tmp_path / "link")
        assert "link to" in error.value.why
        (tmp_path / "disk").mkdir()
        assert_complete(fetch(hub.url, cache=tmp_path / "link").path)


@pytest.mark.parametrize("has_right_content", [True, False])
def test_require_complete_refuses_a_name_that_links_outside_the_cache(
    has_right_content: bool, paths: Paths, folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    name = "config.json"
    with serve_folder(folder) as hub:
        path = fetch(hub.url).path
        content = (path / name).read_bytes()
        paths.outside.write_bytes(content if has_right_content else bytes(SIZES[name]))
        (path / name).unlink()
        (path / name).symlink_to(paths.outside)
        with pytest.raises(SlipwayError, match="incomplete"):  # the container would not find it
            require_complete(MODEL, cache=paths.folder.cache)
        fetch(hub.url)
    assert verify_model(MODEL, cache=paths.folder.cache, deep=True).bad == ()
    assert (path / name).read_bytes() == content


def test_repair_replaces_a_pipe(
    paths: Paths, folder: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        path = fetch(hub.url).path
        (path / "config.json").unlink()
        os.mkfifo(path / "config.json")
        report = verify_model(MODEL, cache=paths.folder.cache, deep=True, repair=True, endpoint=hub.url)
    assert [str(fault) for fault in report.repaired] == ["config.json is not a file"]
    assert_complete(path)


@pytest.mark.parametrize(
    "trap", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "endless"]
)
def test_refs_and_manifests_that_are_not_regular_files_are_not_read(
    trap: Callable[[Path], None], paths: Paths, folder: Path, fetch: Callable[..., Snapshot]
) -> None:
    trap(paths.folder.ref("main"))
    with serve_folder(folder) as hub:
        fetch(hub.url)
    assert paths.folder.commit("main") == paths.commit
    manifest = paths.folder.manifest(paths.commit)
    manifest.unlink()
    trap(manifest)
    with pytest.raises(SlipwayError, match="cannot read the manifest"):
        require_complete(MODEL, cache=paths.folder.cache)
