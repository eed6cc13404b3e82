"""Verify a snapshot offline, and repair it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from errors import Failed
from launch.weights.snapshot import Snapshot, require_complete
from launch.weights.verify import verify_model
from tests.hub.conftest import BIG, MODEL, SIZES
from tests.hub.faults import serve_folder
from tests.invocation import invoke


@pytest.fixture
def snapshot(folder: Path, fetch: Callable[..., Snapshot]) -> Snapshot:
    """MODEL, fetched; the Hub is no longer there."""
    with serve_folder(folder) as hub:
        return fetch(hub.url)


def invert_a_bit(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))


def test_verify_a_complete_snapshot(snapshot: Snapshot, cache: Path) -> None:
    for deep in (False, True):
        report = verify_model(MODEL, cache=cache, deep=deep)
        assert report.bad == ()
        assert report.snapshot.files == len(SIZES)


def replace_by_a_copy(path: Path) -> None:
    """Put another file of the same size and time in place of a blob, as `cp -p` and a rename do."""
    blob = path.resolve()
    shutil.copy2(blob, blob.with_name("copy"))
    blob.with_name("copy").rename(blob)


def set_time(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [invert_a_bit, replace_by_a_copy, set_time])
def test_verify_and_run_notice_a_file_of_the_same_size_that_was_changed(
    change: Callable[[Path], None], snapshot: Snapshot, cache: Path
) -> None:
    change(snapshot.path / BIG)
    (fault,) = verify_model(MODEL, cache=cache).faults
    assert fault.kind == "changed"
    assert str(fault).startswith(f"{BIG} was changed since it was verified (20")
    with pytest.raises(Failed, match="was changed since it was verified") as error:
        require_complete(MODEL, cache=cache)
    assert error.value.fix == f"invoke verify {MODEL} --cache {cache} --deep"


def test_deep_verify_decides_whether_a_changed_file_is_still_the_listed_one(
    snapshot: Snapshot, cache: Path
) -> None:
    replace_by_a_copy(snapshot.path / BIG)
    assert verify_model(MODEL, cache=cache, deep=True).ok
    assert require_complete(MODEL, cache=cache).verified >= snapshot.verified
    invert_a_bit(snapshot.path / BIG)
    assert verify_model(MODEL, cache=cache, deep=True).bad == (f"{BIG} has the wrong content",)


def test_wrong_content_that_left_no_trace_is_remembered(snapshot: Snapshot, cache: Path) -> None:
    before = (snapshot.path / BIG).stat()
    invert_a_bit(snapshot.path / BIG)
    os.utime(snapshot.path / BIG, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk does it
    assert verify_model(MODEL, cache=cache).ok
    assert verify_model(MODEL, cache=cache, deep=True).bad == (f"{BIG} has the wrong content",)
    assert verify_model(MODEL, cache=cache).bad == (f"{BIG} is not verified",)
    with pytest.raises(Failed, match="incomplete"):
        require_complete(MODEL, cache=cache)


def test_fetch_brings_only_those_changed_files_that_are_wrong(
    folder: Path, snapshot: Snapshot, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    set_time(snapshot.path / "config.json")
    invert_a_bit(snapshot.path / BIG)
    with serve_folder(folder) as hub:
        report = verify_model(MODEL, cache=cache, repair=True, endpoint=hub.url)
        fetched = {one.target.rpartition("/")[2] for one in hub.requests if "/resolve/" in one.target}
    assert {fault.kind for fault in report.repaired} == {"changed"}
    assert fetched == {BIG}
    assert_complete(snapshot.path)


def test_verify_names_each_missing_and_short_file(snapshot: Snapshot, cache: Path) -> None:
    (snapshot.path / "config.json").unlink()
    (snapshot.path / BIG).resolve().unlink()
    with (snapshot.path / "nested/deeper/notes.txt").open("r+b") as stream:
        stream.truncate(99)
    assert set(verify_model(MODEL, cache=cache).bad) == {
        "config.json is missing",
        f"{BIG} is missing",
        "nested/deeper/notes.txt has 99 bytes instead of 12345",
    }


def test_require_complete_names_the_command_that_completes_a_snapshot(
    snapshot: Snapshot, cache: Path
) -> None:
    assert require_complete(MODEL, cache=cache).path == snapshot.path
    (snapshot.path / BIG).resolve().unlink()
    with pytest.raises(Failed) as error:
        require_complete(MODEL, cache=cache)
    assert error.value.why == f"{BIG} is missing"
    assert error.value.fix == f"invoke fetch {MODEL} --cache {cache}"


def test_repair_fetches_only_bad_files(
    folder: Path, snapshot: Snapshot, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    invert_a_bit(snapshot.path / BIG)
    (snapshot.path / "config.json").resolve().unlink()
    with serve_folder(folder) as hub:
        report = verify_model(MODEL, cache=cache, deep=True, repair=True, endpoint=hub.url)
        fetched = {
            request.target.rpartition("/")[2] for request in hub.requests if "/resolve/" in request.target
        }
    assert sorted(map(str, report.repaired)) == ["config.json is missing", f"{BIG} has the wrong content"]
    assert fetched == {BIG, "config.json"}
    assert_complete(snapshot.path)
    assert verify_model(MODEL, cache=cache, deep=True).bad == ()


def test_repair_replaces_a_file_without_a_blob(
    folder: Path, snapshot: Snapshot, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    (snapshot.path / BIG).unlink()
    (snapshot.path / BIG).write_bytes(bytes(SIZES[BIG]))
    with serve_folder(folder) as hub:
        verify_model(MODEL, cache=cache, deep=True, repair=True, endpoint=hub.url)
    assert_complete(snapshot.path)


def test_deep_verify_works_for_a_snapshot_of_another_tool(folder: Path, cache: Path) -> None:
    with serve_folder(folder) as hub:
        path = Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url))
    with pytest.raises(Failed, match="never verified"):
        require_complete(MODEL, cache=cache)
    report = verify_model(MODEL, cache=cache)
    assert (report.known, report.faults, report.ok) == (False, (), False)
    assert verify_model(MODEL, cache=cache, deep=True).ok
    assert require_complete(MODEL, cache=cache).files == len(SIZES)
    invert_a_bit(path / BIG)
    assert verify_model(MODEL, cache=cache, deep=True).bad == (f"{BIG} has the wrong content",)


def test_fetch_verifies_a_snapshot_of_another_tool(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot], assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        invert_a_bit(Path(snapshot_download(MODEL, cache_dir=cache, endpoint=hub.url)) / BIG)
        snapshot = fetch(hub.url)
    assert_complete(snapshot.path)
    assert snapshot.fetched == SIZES[BIG]


def test_require_complete_requires_weights_that_were_left_out(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    with serve_folder(folder) as hub:
        assert fetch(hub.url, exclude=("nested/",)).files == len(SIZES) - 1
        assert require_complete(MODEL, cache=cache).files == len(SIZES) - 1
    shutil.rmtree(cache)
    with serve_folder(folder) as hub:
        assert fetch(hub.url, include=("config.json",)).files == 1
        with pytest.raises(Failed, match="incomplete"):
            require_complete(MODEL, cache=cache)  # a server needs the weights
        fetch(hub.url)
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def test_require_complete_fails_for_an_invalid_manifest(snapshot: Snapshot, cache: Path) -> None:
    manifest = next(cache.glob("models--*/manifests/*.json"))
    for text in ("", "[]", "{}", '{"format": 1}', '{"format": 2}', "\x00"):
        manifest.write_text(text)
        with pytest.raises(Failed, match="cannot read the manifest"):
            require_complete(MODEL, cache=cache)


def test_deep_verify_cannot_verify_a_plain_file_without_a_manifest(snapshot: Snapshot, cache: Path) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    (snapshot.path / BIG).unlink()
    (snapshot.path / BIG).write_bytes(bytes(SIZES[BIG]))
    (line,) = verify_model(MODEL, cache=cache, deep=True).bad
    assert line == f"{BIG} cannot be verified: it is not a link to a blob, so its hash is unknown"
    with pytest.raises(Failed, match="incomplete"):
        require_complete(MODEL, cache=cache)


def test_verify_fails_for_an_empty_snapshot(snapshot: Snapshot, cache: Path) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    shutil.rmtree(snapshot.path)
    snapshot.path.mkdir()
    with pytest.raises(Failed, match="is empty"):
        verify_model(MODEL, cache=cache, deep=True)


def test_an_offline_repair_deletes_nothing(snapshot: Snapshot, cache: Path) -> None:
    own_file = snapshot.path / "config.json"
    own_file.unlink()
    own_file.write_text("my own settings")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Failed):
        patch.setenv("HF_HUB_OFFLINE", "1")
        verify_model(MODEL, cache=cache, repair=True)
    assert own_file.read_text() == "my own settings"


def test_repair_fetches_no_file_that_was_left_out(
    folder: Path, cache: Path, fetch: Callable[..., Snapshot]
) -> None:
    with serve_folder(folder) as hub:
        snapshot = fetch(hub.url, include=("config.json",))
        (snapshot.path / "config.json").resolve().unlink()
        verify_model(MODEL, cache=cache, repair=True, endpoint=hub.url)
    assert [path.name for path in snapshot.path.rglob("*")] == ["config.json"]


def test_require_complete_names_a_local_manifest_with_an_invalid_path(
    snapshot: Snapshot, cache: Path
) -> None:
    manifest = next(cache.glob("models--*/manifests/*.json"))
    manifest.write_text(manifest.read_text().replace("config.json", "../x.json"))
    with pytest.raises(Failed, match="cannot read the manifest") as error:
        require_complete(MODEL, cache=cache)
    assert error.value.fix == f"rm {manifest}, then fetch again"


@pytest.mark.parametrize("text", ["[]", "null", "5", '{"weight_map": []}', "[" * 100_000])
def test_deep_verify_survives_an_invalid_index(text: str, snapshot: Snapshot, cache: Path) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    (snapshot.path / "model.safetensors.index.json").write_text(text)
    (line,) = verify_model(MODEL, cache=cache, deep=True).bad
    assert line.startswith("model.safetensors.index.json cannot be verified")


@pytest.mark.parametrize("lost", [None, BIG], ids=["complete", "a file is missing"])
def test_verify_without_a_manifest_says_that_it_was_never_verified(
    lost: str | None, snapshot: Snapshot, cache: Path
) -> None:
    shutil.rmtree(cache / "models--harbour--dinghy" / "manifests")
    if lost:
        (snapshot.path / lost).resolve().unlink()
    result = invoke("verify", MODEL, "--cache", str(cache))
    assert result.code == 1
    assert f"{MODEL} at {snapshot.commit[:12]} was never verified" in result.err
    assert (f"{BIG} is missing" in result.err) == bool(lost)
    assert f"--cache {cache} {'--repair' if lost else '--deep'}" in result.err
