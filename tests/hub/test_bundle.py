"""A snapshot carried to a host that no network reaches."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import SlipwayError
from launch import weights
from launch.hub_server import Fault, serve, serve_folder
from launch.hub_server.repository import Repository, ServedFile
from launch.weights.bundle import write_bundle
from launch.weights.sources.offline import source_of

from .conftest import BIG, MODEL, QUICK, SIZES


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> Path:
    """MODEL in a tar, made from a cache that is gone since."""
    file = tmp_path / "dinghy.tar"
    cache = tmp_path / "elsewhere"
    with serve_folder(folder) as hub:
        snapshot = weights.fetch(MODEL, cache=cache, endpoint=hub.url)
    write_bundle(snapshot, cache, file, lambda meter: None)
    cache.rename(tmp_path / "gone")
    return file


def carried(given: str, cache: Path) -> weights.Snapshot:
    return weights.fetch(MODEL, cache=cache, source=source_of(given, MODEL), patience=QUICK)


def test_from_a_file(bundle: Path, cache: Path, assert_whole: Callable[[Path], None]) -> None:
    assert_whole(carried(str(bundle), cache).path)
    assert weights.check(MODEL, cache=cache).files == len(SIZES)


def test_the_same_snapshot_is_the_same_bundle(bundle: Path, cache: Path, tmp_path: Path) -> None:
    carried(str(bundle), cache)
    with tarfile.open(bundle) as tar:
        assert tar.getnames() == ["slipway.manifest.json", *sorted(SIZES)]
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert (tmp_path / "unpacked" / BIG).stat().st_size == SIZES[BIG]


def test_from_an_unpacked_bundle_and_from_another_cache(
    bundle: Path, cache: Path, tmp_path: Path, assert_whole: Callable[[Path], None]
) -> None:
    with tarfile.open(bundle) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert_whole(carried(str(tmp_path / "unpacked"), cache).path)
    assert_whole(carried(str(cache), tmp_path / "third").path)


def test_from_an_address_and_in_spite_of_a_reset(
    bundle: Path, cache: Path, assert_whole: Callable[[Path], None]
) -> None:
    with web_server(bundle, Fault("reset", "any", at=9 << 20, times=2)) as hub:
        assert_whole(carried(f"{hub.url}/any/web/resolve/main/dinghy.tar", cache).path)


def web_server(bundle: Path, *faults: Fault):  # type: ignore[no-untyped-def]
    """Any web server that knows ranges."""
    served = ServedFile("dinghy.tar", bundle, bundle.stat().st_size, "a" * 40, "b" * 64)
    return serve(lambda model: Repository("any/web", (served,)), faults=faults)


def test_from_an_address_that_knows_no_ranges(bundle: Path, cache: Path) -> None:
    with web_server(bundle, Fault("whole", "any")) as hub, pytest.raises(SlipwayError, match="read in parts"):
        carried(f"{hub.url}/any/web/resolve/main/dinghy.tar", cache)


def test_from_a_hub_by_its_address(folder: Path, cache: Path, assert_whole: Callable[[Path], None]) -> None:
    with serve_folder(folder) as hub:
        assert_whole(carried(hub.url, cache).path)


def test_a_wrong_byte_is_found(bundle: Path, cache: Path) -> None:
    with bundle.open("r+b") as stream:
        stream.seek(15 << 20)
        stream.write(b"wrong")
    with pytest.raises(SlipwayError, match=f"wrong content: {BIG}"):
        carried(str(bundle), cache)


def test_a_bundle_cut_short(bundle: Path, cache: Path) -> None:
    with bundle.open("r+b") as stream:
        stream.truncate(15 << 20)
    with pytest.raises(SlipwayError, match="is too short"):
        carried(str(bundle), cache)


def test_what_is_no_bundle(bundle: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_bytes(b"hello")
    for given, words in (
        (str(other / "file"), "is no bundle"),
        (str(other), "holds nothing that can be proven"),
        (str(other / "nowhere"), "no such file or folder"),
    ):
        with pytest.raises(SlipwayError, match=words) as raised:
            carried(given, cache)
        assert raised.value.code == 2
    with pytest.raises(SlipwayError, match="holds harbour/dinghy, not a/b"):
        weights.fetch("a/b", cache=cache, source=source_of(str(bundle), "a/b"))


def test_a_bundle_whose_manifest_means_harm(bundle: Path, cache: Path, tmp_path: Path) -> None:
    data = bundle.read_bytes().replace(b'"config.json"', b'"../../x.js"', 1)
    bundle.write_bytes(data.replace(b"  ", b" ", 1) if len(data) % 512 else data)
    with pytest.raises(SlipwayError):
        carried(str(bundle), cache)
    assert not list(tmp_path.rglob("x.js"))
