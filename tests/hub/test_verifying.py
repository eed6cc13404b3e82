"""A snapshot proven offline, and mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from errors import Failed
from launch import weights
from launch.hub_server import serve_folder

from .conftest import BIG, MODEL, SIZES


@pytest.fixture
def snapshot(folder: Path, fetch: Callable[..., weights.Snapshot]) -> weights.Snapshot:
    """MODEL, fetched; the Hub is gone."""
    with serve_folder(folder) as hub:
        return fetch(hub.url)


def turn_a_bit(at: Path) -> None:
    with at.open("r+b") as stream:
        stream.seek(at.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))


def test_a_whole_snapshot(snapshot: weights.Snapshot, cache: Path) -> None:
    for deep in (False, True):
        report = weights.verify(MODEL, cache=cache, deep=deep)
        assert report.bad == ()
        assert report.snapshot.files == len(SIZES)


def test_a_wrong_byte_of_the_right_size_is_found_by_its_hash(snapshot: weights.Snapshot, cache: Path) -> None:
    turn_a_bit(snapshot.path / BIG)
    assert weights.verify(MODEL, cache=cache).bad == ()
    assert weights.verify(MODEL, cache=cache, deep=True).bad == (f"{BIG} has the wrong content",)


def test_each_missing_and_short_file_is_named(snapshot: weights.Snapshot, cache: Path) -> None:
    (snapshot.path / "config.json").unlink()
    (snapshot.path / BIG).resolve().unlink()
    with (snapshot.path / "nested/deeper/notes.txt").open("r+b") as stream:
        stream.truncate(99)
    assert set(weights.verify(MODEL, cache=cache).bad) == {
        "config.json is missing",
        f"{BIG} is missing",
        "nested/deeper/notes.txt has 99 bytes instead of 12345",
    }


def test_check_refuses_with_the_command_that_completes_it(snapshot: weights.Snapshot, cache: Path) -> None:
    assert weights.check(MODEL, cache=cache).path == snapshot.path
    (snapshot.path / BIG).resolve().unlink()
    with pytest.raises(Failed) as raised:
        weights.check(MODEL, cache=cache)
    assert raised.value.why == f"{BIG} is missing"
    assert raised.value.fix == f"invoke fetch --model {MODEL} --cache {cache}"


def test_repair_fetches_only_what_is_broken(
    folder: Path, snapshot: weights.Snapshot, cache: Path, assert_whole: Callable[[Path], None]
) -> None:
    turn_a_bit(snapshot.path / BIG)
    (snapshot.path / "config.json").resolve().unlink()
    with serve_folder(folder) as hub:
        report = weights.verify(MODEL, cache=cache, deep=True, repair=True, endpoint=hub.url)
        brought = {
            request.target.rpartition("/")[2] for request in hub.requests if "/resolve/" in request.target
        }
    assert sorted(report.mended) == ["config.json is missing", f"{BIG} has the wrong content"]
    assert brought == {BIG, "config.json"}
    assert_whole(snapshot.path)
    assert weights.verify(MODEL, cache=cache, deep=True).bad == ()


def test_repair_of_a_name_that_became_a_file(
    folder: Path, snapshot: weights.Snapshot, cache: Path, assert_whole: Callable[[Path], None]
) -> None:
    (snapshot.path / BIG).unlink()
    (snapshot.path / BIG).write_bytes(bytes(SIZES[BIG]))
    with serve_folder(folder) as hub:
        weights.verify(MODEL, cache=cache, deep=True, repair=True, endpoint=hub.url)
    assert_whole(snapshot.path)


def test_what_another_tool_downloaded_is_proven_by_the_names_of_its_blobs(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        path = Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url))
    with pytest.raises(Failed, match="never proven"):
        weights.check(MODEL, cache=cache)
    assert weights.verify(MODEL, cache=cache).bad == ("it has no manifest: only --deep can prove it",)
    assert weights.verify(MODEL, cache=cache, deep=True).bad == ()
    assert weights.check(MODEL, cache=cache).files == len(SIZES)
    turn_a_bit(path / BIG)
    assert weights.verify(MODEL, cache=cache, deep=True).bad == (f"{BIG} has the wrong content",)


def test_a_fetch_proves_what_another_tool_downloaded_instead_of_trusting_it(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot], assert_whole: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        turn_a_bit(Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url)) / BIG)
        found = fetch(hub.url)
    assert_whole(found.path)
    assert found.fetched == SIZES[BIG]


def test_what_was_left_out(folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot]) -> None:
    with serve_folder(folder) as hub:
        assert fetch(hub.url, exclude=("nested/",)).files == len(SIZES) - 1
        assert weights.check(MODEL, cache=cache).files == len(SIZES) - 1
    shutil.rmtree(cache)
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=("config.json",)).files == 1
        with pytest.raises(Failed, match="incomplete"):
            weights.check(MODEL, cache=cache)  # a server needs the weights
        fetch(hub.url)
    assert weights.check(MODEL, cache=cache).files == len(SIZES)


def test_a_manifest_that_is_none(snapshot: weights.Snapshot, cache: Path) -> None:
    manifest = next(cache.glob("models--*/manifests/*.json"))
    for text in ("", "[]", "{}", '{"format": 1}', '{"format": 2}', "\x00"):
        manifest.write_text(text)
        with pytest.raises(Failed, match="cannot read the manifest"):
            weights.check(MODEL, cache=cache)


def test_nobody_knows_what_a_plain_file_without_a_manifest_should_be(
    snapshot: weights.Snapshot, cache: Path
) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    (snapshot.path / BIG).unlink()
    (snapshot.path / BIG).write_bytes(bytes(SIZES[BIG]))
    (line,) = weights.verify(MODEL, cache=cache, deep=True).bad
    assert line == f"{BIG} cannot be proven: it is no link to a blob, so nobody knows its hash"
    with pytest.raises(Failed, match="incomplete"):
        weights.check(MODEL, cache=cache)


def test_a_snapshot_without_a_file_is_not_whole(snapshot: weights.Snapshot, cache: Path) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    shutil.rmtree(snapshot.path)
    snapshot.path.mkdir()
    with pytest.raises(Failed, match="is empty"):
        weights.verify(MODEL, cache=cache, deep=True)


def test_a_repair_that_gets_no_answer_takes_nothing_away(snapshot: weights.Snapshot, cache: Path) -> None:
    mine = snapshot.path / "config.json"
    mine.unlink()
    mine.write_text("my own settings")
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Failed):
        patched.setenv("HF_HUB_OFFLINE", "1")
        weights.verify(MODEL, cache=cache, repair=True)
    assert mine.read_text() == "my own settings"


def test_a_repair_brings_nothing_that_was_left_out(
    folder: Path, cache: Path, fetch: Callable[..., weights.Snapshot]
) -> None:
    with serve_folder(folder) as hub:
        found = fetch(hub.url, include=("config.json",))
        (found.path / "config.json").resolve().unlink()
        weights.verify(MODEL, cache=cache, repair=True, endpoint=hub.url)
    assert [at.name for at in found.path.rglob("*")] == ["config.json"]


def test_a_local_manifest_that_means_harm_is_named_and_not_the_mirror(
    snapshot: weights.Snapshot, cache: Path
) -> None:
    manifest = next(cache.glob("models--*/manifests/*.json"))
    manifest.write_text(manifest.read_text().replace("config.json", "../x.json"))
    with pytest.raises(Failed, match="cannot read the manifest") as raised:
        weights.check(MODEL, cache=cache)
    assert raised.value.fix == f"rm {manifest}, then fetch again"


@pytest.mark.parametrize("text", ["[]", "null", "5", '{"weight_map": []}', "[" * 100_000])
def test_an_index_that_is_none(text: str, snapshot: weights.Snapshot, cache: Path) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    (snapshot.path / "model.safetensors.index.json").write_text(text)
    (line,) = weights.verify(MODEL, cache=cache, deep=True).bad
    assert line.startswith("model.safetensors.index.json cannot be proven")
