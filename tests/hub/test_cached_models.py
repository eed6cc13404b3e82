"""The models in the cache: what is listed, and what a removal leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.weights.cache import ModelFolder
from launch.weights.cached_models import cached_models, remove_model
from launch.weights.snapshot import Snapshot
from launch.weights.transfer.blob_lock import BlobLocks
from tests.hub.conftest import MODEL, SIZES
from tests.hub.faults import serve_folder
from tests.invocation import invoke


@pytest.fixture
def snapshot(folder: Path, fetch: Callable[..., Snapshot]) -> Snapshot:
    """MODEL, fetched; the Hub is no longer there."""
    with serve_folder(folder) as hub:
        return fetch(hub.url)


def test_a_fetched_model_is_listed_with_its_size_and_date(snapshot: Snapshot, cache: Path) -> None:
    (found,) = cached_models(cache)
    assert (found.model, found.revision, found.commit) == (MODEL, "main", snapshot.commit)
    assert found.bytes == sum(SIZES.values())
    assert found.state.startswith("all files, 20")


def test_a_model_that_lost_a_file_is_incomplete(snapshot: Snapshot, cache: Path) -> None:
    (snapshot.path / "config.json").unlink()
    assert cached_models(cache)[0].state == "incomplete: config.json is missing"


def test_a_model_without_a_manifest_is_not_verified(snapshot: Snapshot, cache: Path) -> None:
    manifest = ModelFolder(cache, MODEL).manifest(snapshot.commit)
    manifest.write_text("{")
    assert cached_models(cache)[0].state == "manifest unreadable"
    manifest.unlink()
    assert cached_models(cache)[0].state == "not verified"


def test_an_unfinished_download_is_listed(tmp_path: Path) -> None:
    blobs = tmp_path / "models--org--name" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / ("a" * 64 + ".incomplete")).write_bytes(b"x" * 10)
    (found,) = cached_models(tmp_path)
    assert (found.model, found.commit, found.bytes, found.state) == (
        "org/name",
        "",
        10,
        "download not completed",
    )


def test_folders_that_are_not_models_are_skipped(tmp_path: Path) -> None:
    for name in ("models--gpt2", "datasets--org--name", ".locks", "models--..--name"):
        (tmp_path / name).mkdir()
    (tmp_path / "models--org--file").write_text("")
    assert cached_models(tmp_path) == []
    assert cached_models(tmp_path / "missing") == []


def test_two_revisions_of_one_commit_are_one_row(snapshot: Snapshot, cache: Path) -> None:
    (ModelFolder(cache, MODEL).ref("v1")).write_text(snapshot.commit)
    assert [found.revision for found in cached_models(cache)] == ["main, v1"]


def test_a_removal_leaves_nothing_of_the_model(snapshot: Snapshot, cache: Path) -> None:
    assert remove_model(MODEL, cache, dry_run=True).bytes == sum(SIZES.values())
    assert cached_models(cache)
    removed = remove_model(MODEL, cache)
    assert removed.bytes == sum(SIZES.values())
    assert not removed.path.exists() and not ModelFolder(cache, MODEL).locks.exists()
    assert cached_models(cache) == []


def test_a_model_that_is_being_fetched_is_not_removed(snapshot: Snapshot, cache: Path) -> None:
    model = ModelFolder(cache, MODEL)
    blob = next(model.blobs.iterdir()).name
    model.locks.mkdir(parents=True, exist_ok=True)
    locks = BlobLocks(model)
    assert locks.take(blob) == ""
    try:
        with pytest.raises(Refused, match="is being fetched by another process"):
            remove_model(MODEL, cache)
    finally:
        locks.release_all()
    assert cached_models(cache)[0].state.startswith("all files")


@pytest.mark.parametrize("model", ["other/name", "../..", "name", "a/b/c"])
def test_a_model_that_is_not_there_is_refused(model: str, cache: Path) -> None:
    with pytest.raises(Refused):
        remove_model(model, cache)


def test_a_link_in_place_of_the_model_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("keep")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "models--org--name").symlink_to(tmp_path / "other")
    with pytest.raises(Refused, match="not in the cache"):
        remove_model("org/name", cache)
    assert (tmp_path / "other" / "file").read_text() == "keep"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_cache_that_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(Failed, match="cannot read the cache"):
            cached_models(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_models_lists_and_removes(snapshot: Snapshot, cache: Path) -> None:
    listed = invoke("models", "--cache", str(cache)).ok().out.splitlines()
    assert listed[0].split() == ["MODEL", "REVISION", "COMMIT", "SIZE", "VERIFIED"]
    assert listed[1].split()[:3] == [MODEL, "main", snapshot.commit[:12]]
    assert (
        json.loads(invoke("models", "--cache", str(cache), "--format", "json").ok().out)[0]["model"] == MODEL
    )
    words = ("models", "--cache", str(cache), "--remove", MODEL)
    assert invoke(*words, "--dry-run").ok().out.startswith("would remove ")
    assert invoke(*words).ok().out.startswith("removed ")
    again = invoke(*words)
    assert (again.code, again.err.splitlines()[0]) == (2, f"error: '{MODEL}' is not in the cache")
    assert "holds no models" in invoke("models", "--cache", str(cache)).ok().err
