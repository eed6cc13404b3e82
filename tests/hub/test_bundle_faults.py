"""Bundles that are malicious, repacked by another tool, truncated, or on a server that fails."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from errors import Refused, SlipwayError
from launch.hub_server.repository import Repository, ServedFile
from launch.weights.bundle.format import MANIFEST_NAME
from launch.weights.bundle.read import BundleUrl
from launch.weights.bundle.write import write_bundle
from launch.weights.fetch import fetch_model
from launch.weights.snapshot import Snapshot, require_complete
from launch.weights.sources.offline import source_of
from tests.hub.conftest import BIG, MODEL, QUICK, SIZES, fetch_from
from tests.hub.faults import Fault, RecordingServer, serve, serve_folder

NAMES = (MANIFEST_NAME, *sorted(SIZES))
ALL = 31 << 20  # bytes of the bundle, less than 1 MiB too few
ServeBundle = Callable[..., AbstractContextManager[RecordingServer]]


@pytest.fixture
def unpacked(elsewhere: Snapshot, tmp_path: Path) -> Path:
    """The files of a bundle, unpacked."""
    write_bundle(elsewhere, tmp_path / "elsewhere", tmp_path / "dinghy.tar", lambda progress: None)
    with tarfile.open(tmp_path / "dinghy.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    return tmp_path / "unpacked"


def unchanged(member: tarfile.TarInfo) -> None:
    """Pack the member as it is."""


def absolute(member: tarfile.TarInfo) -> None:
    member.name = "/" + member.name if member.name == "config.json" else member.name


def link(member: tarfile.TarInfo) -> None:
    if member.name == "config.json":
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def device(member: tarfile.TarInfo) -> None:
    if member.name == "config.json":
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 5


def linked_manifest(member: tarfile.TarInfo) -> None:
    if member.name == MANIFEST_NAME:
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"


@pytest.mark.parametrize(
    ("edit", "names", "tar_format", "message"),
    [
        (unchanged, NAMES, tarfile.GNU_FORMAT, ""),
        (unchanged, NAMES, tarfile.PAX_FORMAT, ""),
        (unchanged, (NAMES[0], *reversed(NAMES[1:])), tarfile.GNU_FORMAT, "not a complete bundle"),
        (unchanged, NAMES[1:] + NAMES[:1], tarfile.GNU_FORMAT, "is not a bundle"),
        (absolute, NAMES, tarfile.GNU_FORMAT, "not a complete bundle"),
        (link, NAMES, tarfile.GNU_FORMAT, "not a complete bundle"),
        (device, NAMES, tarfile.GNU_FORMAT, "not a complete bundle"),
        (linked_manifest, NAMES, tarfile.GNU_FORMAT, "is not a bundle"),
    ],
)
def test_fetch_from_a_repacked_bundle(
    edit: Callable[[tarfile.TarInfo], None],
    names: tuple[str, ...],
    tar_format: int,
    message: str,
    unpacked: Path,
    cache: Path,
    tmp_path: Path,
    assert_complete: Callable[[Path], None],
) -> None:
    with tarfile.open(tmp_path / "repacked.tar", "w", format=tar_format) as tar:
        for name in names:
            member = tar.gettarinfo(unpacked / name, name)
            member.mtime = 0
            edit(member)
            with (unpacked / name).open("rb") as stream:
                tar.addfile(member, stream if member.isreg() else None)
    if not message:
        assert_complete(fetch_from(tmp_path / "repacked.tar", cache).path)
        return
    with pytest.raises(SlipwayError, match=message):
        fetch_from(tmp_path / "repacked.tar", cache)
    assert not cache.exists(), "nothing was fetched"


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1 << 20, ALL])
def test_fetch_from_a_truncated_bundle_fails(kept: int, unpacked: Path, cache: Path, tmp_path: Path) -> None:
    os.truncate(tmp_path / "dinghy.tar", kept)
    with pytest.raises(SlipwayError, match=r"not a bundle|cannot be read|too short"):
        fetch_from(tmp_path / "dinghy.tar", cache)
    assert not cache.exists(), "nothing was fetched"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda at: at.symlink_to("/dev/zero")])
def test_fetch_from_a_folder_without_a_regular_file_fails(
    make: Callable[[Path], None], unpacked: Path, cache: Path
) -> None:
    (unpacked / BIG).unlink()
    make(unpacked / BIG)
    with pytest.raises(SlipwayError, match="is missing, or not a file"):
        fetch_from(unpacked, cache)


def test_fetch_from_a_bundle_with_a_deeply_nested_manifest_fails(unpacked: Path, cache: Path) -> None:
    (unpacked / MANIFEST_NAME).write_bytes(b"[" * 200_000)
    with pytest.raises(SlipwayError, match="its manifest cannot be read"):
        fetch_from(unpacked, cache)


@pytest.fixture
def serve_bundle(unpacked: Path, tmp_path: Path) -> ServeBundle:
    """Serve the bundle, as it is at that time, from a web server with faults."""
    bundle = tmp_path / "dinghy.tar"

    def begin(*faults: Fault) -> AbstractContextManager[RecordingServer]:
        served = ServedFile("dinghy.tar", bundle, bundle.stat().st_size, "a" * 40, "b" * 64)
        return serve(lambda model: Repository("any/web", (served,)), faults=faults)

    return begin


BUNDLE_PATH = "/any/web/resolve/main/dinghy.tar"


def test_fetch_from_a_bundle_url_survives_resets_at_the_start(
    serve_bundle: ServeBundle, cache: Path, assert_complete: Callable[[Path], None]
) -> None:
    with serve_bundle(Fault("reset", "any", at=0, times=2)) as hub:
        source = BundleUrl(hub.url + BUNDLE_PATH, MODEL, QUICK)
        assert_complete(fetch_model(MODEL, cache=cache, source=source, policy=QUICK).path)


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1 << 20, ALL])
def test_fetch_from_the_url_of_a_truncated_bundle_fails(
    kept: int, unpacked: Path, serve_bundle: ServeBundle, cache: Path, tmp_path: Path
) -> None:
    assert (tmp_path / "dinghy.tar").stat().st_size - 1024 > ALL
    os.truncate(tmp_path / "dinghy.tar", kept)
    with serve_bundle() as hub:
        source = BundleUrl(hub.url + BUNDLE_PATH, MODEL, QUICK)
        with pytest.raises(SlipwayError, match="is too short"):
            fetch_model(MODEL, cache=cache, source=source, policy=QUICK)
    assert not cache.exists(), "nothing was fetched"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", "any", status=403), "may have expired"),
        (Fault("heads", "any", headers=(("Content-Range", "bytes 512-1023/9999"),)), "starts at byte 512"),
        (Fault("trickle", "any", rate=20), "was not complete|timed out"),
    ],
)
def test_fetch_from_a_bundle_url_fails_without_showing_its_secrets(
    fault: Fault, message: str, serve_bundle: ServeBundle, cache: Path
) -> None:
    with serve_bundle(fault) as hub:
        url = f"{hub.url.replace('://', '://me:secret@')}{BUNDLE_PATH}?signature=secret"
        source = BundleUrl(url, MODEL, replace(QUICK, response_timeout=0.5))
        with pytest.raises(SlipwayError) as error:
            fetch_model(MODEL, cache=cache, source=source, policy=QUICK)
    assert any(text in str(error.value) for text in message.split("|"))
    assert "secret" not in str(error.value)


def test_files_left_out_of_a_bundle_are_missing_on_the_other_host(
    folder: Path, tmp_path: Path, cache: Path
) -> None:
    here = tmp_path / "here"
    with serve_folder(folder) as hub:
        few = fetch_model(MODEL, cache=here, endpoint=hub.url, include=("config.json",))
    write_bundle(few, here, tmp_path / "few.tar", lambda progress: None)
    assert fetch_from(tmp_path / "few.tar", cache).files == 1
    with pytest.raises(SlipwayError, match="incomplete"):
        require_complete(MODEL, cache=cache)
    with pytest.raises(Refused, match="no file of"):
        fetch_model(MODEL, cache=cache, source=source_of(str(tmp_path / "few.tar"), MODEL), include=(BIG,))


def test_fetch_fails_if_a_bundle_does_not_have_a_wanted_file(
    folder: Path, serve_bundle: ServeBundle, tmp_path: Path, cache: Path
) -> None:
    few, tar = tmp_path / "few", tmp_path / "dinghy.tar"
    with serve_folder(folder) as hub:
        snapshot = fetch_model(MODEL, cache=few, endpoint=hub.url, include=("config.json",))
        wanted = fetch_model(MODEL, cache=cache, endpoint=hub.url, include=("empty.txt", BIG))
    write_bundle(snapshot, few, tar, lambda progress: None)
    with tarfile.open(tar) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (wanted.path / BIG).resolve().unlink()
    with serve_bundle() as hub:
        for given in (tar, tmp_path / "unpacked", hub.url + BUNDLE_PATH):
            with pytest.raises(SlipwayError, match=f"does not have {BIG}"):
                fetch_from(given, cache)
