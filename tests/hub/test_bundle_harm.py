"""Bundles that mean harm, that another tool packed, or that a tired disk or network brought."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from errors import Refused, SlipwayError
from launch import weights
from launch.hub_server import Fault, serve, serve_folder
from launch.hub_server.repository import Repository, ServedFile
from launch.weights.bundle import NAME, write_bundle
from launch.weights.sources.offline import source_of

from .conftest import BIG, MODEL, QUICK, SIZES, carried

NAMES = (NAME, *sorted(SIZES))
ALL = 31 << 20  # bytes of the bundle, and less than 1 MiB more


@pytest.fixture
def unpacked(made: weights.Snapshot, tmp_path: Path) -> Path:
    """A bundle of it, taken apart."""
    write_bundle(made, tmp_path / "elsewhere", tmp_path / "dinghy.tar", lambda meter: None)
    with tarfile.open(tmp_path / "dinghy.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    return tmp_path / "unpacked"


def untouched(member: tarfile.TarInfo) -> None:
    """Pack it as it is."""


def absolute(member: tarfile.TarInfo) -> None:
    member.name = "/" + member.name if member.name == "config.json" else member.name


def link(member: tarfile.TarInfo) -> None:
    if member.name == "config.json":
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def device(member: tarfile.TarInfo) -> None:
    if member.name == "config.json":
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 5


def linked_manifest(member: tarfile.TarInfo) -> None:
    if member.name == NAME:
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"


@pytest.mark.parametrize(
    ("edit", "names", "form", "words"),
    [
        (untouched, NAMES, tarfile.GNU_FORMAT, ""),
        (untouched, NAMES, tarfile.PAX_FORMAT, ""),
        (untouched, (NAMES[0], *reversed(NAMES[1:])), tarfile.GNU_FORMAT, "no whole bundle"),
        (untouched, NAMES[1:] + NAMES[:1], tarfile.GNU_FORMAT, "is no bundle"),
        (absolute, NAMES, tarfile.GNU_FORMAT, "no whole bundle"),
        (link, NAMES, tarfile.GNU_FORMAT, "no whole bundle"),
        (device, NAMES, tarfile.GNU_FORMAT, "no whole bundle"),
        (linked_manifest, NAMES, tarfile.GNU_FORMAT, "is no bundle"),
    ],
)
def test_a_tar_that_was_packed_anew(
    edit: Callable[[tarfile.TarInfo], None],
    names: tuple[str, ...],
    form: int,
    words: str,
    unpacked: Path,
    cache: Path,
    tmp_path: Path,
    assert_whole: Callable[[Path], None],
) -> None:
    with tarfile.open(tmp_path / "anew.tar", "w", format=form) as tar:
        for name in names:
            member = tar.gettarinfo(unpacked / name, name)
            member.mtime = 0
            edit(member)
            with (unpacked / name).open("rb") as stream:
                tar.addfile(member, stream if member.isreg() else None)
    if not words:
        assert_whole(carried(tmp_path / "anew.tar", cache).path)
        return
    with pytest.raises(SlipwayError, match=words):
        carried(tmp_path / "anew.tar", cache)
    assert not cache.exists(), "nothing was fetched"


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1 << 20, ALL])
def test_a_tar_that_was_cut(kept: int, unpacked: Path, cache: Path, tmp_path: Path) -> None:
    os.truncate(tmp_path / "dinghy.tar", kept)
    with pytest.raises(SlipwayError, match=r"no bundle|cannot be read|too short"):
        carried(tmp_path / "dinghy.tar", cache)
    assert not cache.exists(), "nothing was fetched"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda at: at.symlink_to("/dev/zero")])
def test_a_folder_with_what_is_no_file(make: Callable[[Path], None], unpacked: Path, cache: Path) -> None:
    (unpacked / BIG).unlink()
    make(unpacked / BIG)
    with pytest.raises(SlipwayError, match="is missing, or no file"):
        carried(unpacked, cache)


def test_a_manifest_nested_without_end(unpacked: Path, cache: Path) -> None:
    (unpacked / NAME).write_bytes(b"[" * 200_000)
    with pytest.raises(SlipwayError, match="its manifest cannot be read"):
        carried(unpacked, cache)


@pytest.fixture
def address(unpacked: Path, tmp_path: Path) -> Callable[..., Iterator[str]]:
    """The bundle, as it is by then, on a web server."""
    bundle = tmp_path / "dinghy.tar"

    def begin(*faults: Fault) -> Iterator[str]:
        served = ServedFile("dinghy.tar", bundle, bundle.stat().st_size, "a" * 40, "b" * 64)
        return serve(lambda model: Repository("any/web", (served,)), faults=faults)

    return begin


HEAD = "/any/web/resolve/main/dinghy.tar"


def test_from_an_address_that_hiccups_at_the_start(
    address: Callable[..., Iterator[str]], cache: Path, assert_whole: Callable[[Path], None]
) -> None:
    with address(Fault("reset", "any", at=0, times=2)) as hub:
        source = source_of(hub.url + HEAD, MODEL)
        source.patience = QUICK
        assert_whole(weights.fetch(MODEL, cache=cache, source=source, patience=QUICK).path)


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1 << 20, ALL])
def test_from_an_address_of_a_tar_that_was_cut(
    kept: int, unpacked: Path, address: Callable[..., Iterator[str]], cache: Path, tmp_path: Path
) -> None:
    assert (tmp_path / "dinghy.tar").stat().st_size - 1024 > ALL
    os.truncate(tmp_path / "dinghy.tar", kept)
    with address() as hub:
        source = source_of(hub.url + HEAD, MODEL)
        source.patience = QUICK
        with pytest.raises(SlipwayError, match="is too short"):
            weights.fetch(MODEL, cache=cache, source=source, patience=QUICK)
    assert not cache.exists(), "nothing was fetched"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("status", "any", status=403), "may have expired"),
        (Fault("heads", "any", headers=(("Content-Range", "bytes 512-1023/9999"),)), "from byte 512"),
        (Fault("trickle", "any", rate=20), "did not finish"),
    ],
)
def test_from_an_address_that_fails(
    fault: Fault, words: str, address: Callable[..., Iterator[str]], cache: Path
) -> None:
    with address(fault) as hub:
        source = source_of(f"{hub.url.replace('://', '://me:secret@')}{HEAD}?signature=secret", MODEL)
        source.patience = replace(QUICK, talk=0.5)
        with pytest.raises(SlipwayError) as raised:
            weights.fetch(MODEL, cache=cache, source=source, patience=QUICK)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_what_was_left_out_of_a_bundle_is_missed_there_as_here(
    folder: Path, tmp_path: Path, cache: Path
) -> None:
    here = tmp_path / "here"
    with serve_folder(folder) as hub:
        few = weights.fetch(MODEL, cache=here, endpoint=hub.url, include=("config.json",))
    write_bundle(few, here, tmp_path / "few.tar", lambda meter: None)
    assert carried(tmp_path / "few.tar", cache).files == 1
    with pytest.raises(SlipwayError, match="incomplete"):
        weights.check(MODEL, cache=cache)
    with pytest.raises(Refused, match="no file of"):
        weights.fetch(MODEL, cache=cache, source=source_of(str(tmp_path / "few.tar"), MODEL), include=(BIG,))


def test_a_file_that_this_host_misses_and_a_bundle_left_out(
    folder: Path, address: Callable[..., Iterator[str]], tmp_path: Path, cache: Path
) -> None:
    few, tar = tmp_path / "few", tmp_path / "dinghy.tar"
    with serve_folder(folder) as hub:
        made = weights.fetch(MODEL, cache=few, endpoint=hub.url, include=("config.json",))
        wanted = weights.fetch(MODEL, cache=cache, endpoint=hub.url, include=("empty.txt", BIG))
    write_bundle(made, few, tar, lambda meter: None)
    with tarfile.open(tar) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (wanted.path / BIG).resolve().unlink()
    with address() as hub:
        for given in (tar, tmp_path / "unpacked", hub.url + HEAD):
            with pytest.raises(SlipwayError, match=f"does not hold {BIG}"):
                carried(given, cache)
