"""Fetch a model from a bundle, a folder, or another cache."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from errors import SlipwayError
from launch.hub_server.repository import Repository, ServedFile
from launch.weights.bundle.write import write_bundle
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import require_complete
from launch.weights.sources.offline import source_of
from tests.hub.conftest import BIG, MODEL, SIZES, fetch_from
from tests.hub.faults import Fault, RecordingServer, serve, serve_folder


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> Path:
    """A bundle of MODEL; the cache that it was made from is gone."""
    file = tmp_path / "dinghy.tar"
    cache = tmp_path / "elsewhere"
    with serve_folder(folder) as hub:
        snapshot = fetch_model(MODEL, cache=cache, endpoint=hub.url)
    write_bundle(snapshot, cache, file, lambda progress: None)
    cache.rename(tmp_path / "gone")
    return file


def test_fetch_from_a_bundle_file(bundle: Path, cache: Path, assert_complete: Callable[[Path], None]) -> None:
    assert_complete(fetch_from(bundle, cache).path)
    assert require_complete(MODEL, cache=cache).files == len(SIZES)


def test_tar_can_unpack_a_bundle(bundle: Path, cache: Path, tmp_path: Path) -> None:
    fetch_from(bundle, cache)
    with tarfile.open(bundle) as tar:
        assert tar.getnames() == ["slipway.manifest.json", *sorted(SIZES)]
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert (tmp_path / "unpacked" / BIG).stat().st_size == SIZES[BIG]


def test_fetch_from_an_unpacked_bundle_and_from_another_cache(
    bundle: Path, cache: Path, tmp_path: Path, assert_complete: Callable[[Path], None]
) -> None:
    with tarfile.open(bundle) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert_complete(fetch_from(str(tmp_path / "unpacked"), cache).path)
    assert_complete(fetch_from(str(cache), tmp_path / "third").path)


def test_fetch_from_a_bundle_url_survives_resets(
    bundle: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    with web_server(bundle, Fault("reset", "any", at=9 << 20, times=2)) as hub:
        assert_complete(fetch_from(f"{hub.url}/any/web/resolve/main/dinghy.tar", cache).path)


def web_server(bundle: Path, *faults: Fault) -> AbstractContextManager[RecordingServer]:
    """Serve a bundle from a web server that supports ranges."""
    served = ServedFile("dinghy.tar", bundle, bundle.stat().st_size, "a" * 40, "b" * 64)
    return serve(lambda model: Repository("any/web", (served,)), faults=faults)


def test_fetch_from_a_bundle_url_needs_ranges(bundle: Path, cache: Path) -> None:
    with web_server(bundle, Fault("whole", "any")) as hub, pytest.raises(SlipwayError, match="read in parts"):
        fetch_from(f"{hub.url}/any/web/resolve/main/dinghy.tar", cache)


def test_fetch_from_a_hub_by_its_url(
    folder: Path, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        assert_complete(fetch_from(hub.url, cache).path)


def test_fetch_from_a_bundle_with_a_wrong_byte_fails(bundle: Path, cache: Path) -> None:
    with bundle.open("r+b") as stream:
        stream.seek(15 << 20)
        stream.write(b"wrong")
    with pytest.raises(SlipwayError, match=f"wrong content: {BIG}"):
        fetch_from(bundle, cache)


def test_fetch_from_a_truncated_bundle_fails(bundle: Path, cache: Path) -> None:
    with bundle.open("r+b") as stream:
        stream.truncate(15 << 20)
    with pytest.raises(SlipwayError, match="is too short"):
        fetch_from(bundle, cache)


def test_from_refuses_what_is_not_a_bundle(bundle: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_bytes(b"hello")
    for given, message in (
        (str(other / "file"), "is not a bundle"),
        (str(other), "has no manifest to verify files with"),
        (str(other / "nowhere"), "no such file or folder"),
    ):
        with pytest.raises(SlipwayError, match=message) as error:
            fetch_from(given, cache)
        assert error.value.code == 2
    with pytest.raises(SlipwayError, match="has harbour/dinghy, not a/b"):
        fetch_model("a/b", cache=cache, source=source_of(str(bundle), "a/b"))


def test_fetch_from_a_bundle_with_a_path_outside_the_snapshot_fails(
    bundle: Path, cache: Path, tmp_path: Path
) -> None:
    data = bundle.read_bytes().replace(b'"config.json"', b'"../../x.js"', 1)
    bundle.write_bytes(data.replace(b"  ", b" ", 1) if len(data) % 512 else data)
    with pytest.raises(SlipwayError):
        fetch_from(bundle, cache)
    assert not list(tmp_path.rglob("x.js"))
