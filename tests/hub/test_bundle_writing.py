"""Writing a bundle: whole or not at all, onto nothing that is somebody else's, and beside other bundlers."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from errors import Refused, SlipwayError
from launch import weights
from launch.hub_server import serve_folder
from launch.weights.bundle import NAME, require_target, write_bundle
from tests.invocation import ROOT, invoke

from .conftest import BIG, MODEL, SIZES, carried


def test_a_rotten_file_is_not_carried_on(made: weights.Snapshot, tmp_path: Path) -> None:
    with (made.path / BIG).open("r+b") as stream:
        stream.write(b"rot")
    with pytest.raises(SlipwayError, match="no bundle was made"):
        write_bundle(made, tmp_path / "elsewhere", tmp_path / "b.tar", lambda meter: None)
    assert not [at for at in tmp_path.iterdir() if at.is_file()]


def test_a_file_that_cannot_be_read_is_not_blamed_on_the_bundles_disk(
    made: weights.Snapshot, tmp_path: Path
) -> None:
    (made.path / BIG).unlink()
    with pytest.raises(SlipwayError, match=f"{BIG} cannot be read"):
        write_bundle(made, tmp_path / "elsewhere", tmp_path / "b.tar", lambda meter: None)
    assert not (tmp_path / "b.tar").exists()


def forbid_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave like a file system without O_TMPFILE."""
    real = os.open

    def without(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", without)


# A file without a name until it is whole: not every file system can do that.
@pytest.mark.parametrize("without_a_name", [True, False])
def test_ctrl_c_leaves_no_half_bundle(
    without_a_name: bool, made: weights.Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not without_a_name:
        forbid_unnamed_files(monkeypatch)

    def interrupt(meter: weights.TransferProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(made, tmp_path / "elsewhere", tmp_path / "b.tar", interrupt)
    assert not [at for at in tmp_path.iterdir() if at.is_file()]


def test_where_no_bundle_can_be_is_refused_before_a_byte_is_fetched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # a device is no different, and nothing that a bundle may replace
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "file").write_text("mine")
    for name in (
        ".",
        "no/such/folder.tar",
        "file/b.tar",
        "pipe",
        "null",
        "n" * 300,
        "/dev/null",
        "/proc/b.tar",
    ):
        with pytest.raises(Refused, match="cannot write the bundle"):
            require_target(tmp_path / name)
    require_target(tmp_path / ("n" * 250))
    assert sorted(at.name for at in tmp_path.iterdir()) == ["file", "null", "pipe"]


def test_what_became_no_file_during_the_fetch_is_not_replaced(made: weights.Snapshot, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.tar")
    with pytest.raises(Refused, match="no plain file"):
        write_bundle(made, tmp_path / "elsewhere", tmp_path / "b.tar", lambda meter: None)
    assert (tmp_path / "b.tar").is_fifo()


def test_a_bundle_without_a_network(made: weights.Snapshot, tmp_path: Path, cache: Path) -> None:
    words = (
        "fetch",
        "--model",
        MODEL,
        "--cache",
        str(tmp_path / "elsewhere"),
        "--bundle",
        str(tmp_path / "b.tar"),
    )
    invoke(*words, HF_HUB_OFFLINE="1").ok()
    assert carried(tmp_path / "b.tar", cache).files == len(SIZES)


@pytest.mark.parametrize("without_a_name", [True, False])
def test_a_bundle_is_written_beside_nothing_that_is_somebody_elses(
    without_a_name: bool, made: weights.Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    if not without_a_name:
        forbid_unnamed_files(monkeypatch)
    (tmp_path / "older").write_text("an older one")
    (tmp_path / "b.tar").symlink_to("older")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "b.tar.incomplete").symlink_to("mine")
    write_bundle(made, tmp_path / "elsewhere", tmp_path / "b.tar", lambda meter: None)
    assert (tmp_path / "b.tar.incomplete").read_text() == "mine"
    assert (tmp_path / "older").read_text() == "an older one"
    here = sorted(at.name for at in tmp_path.iterdir() if at.is_file())
    assert here == ["b.tar", "b.tar.incomplete", "mine", "older"]
    assert carried(tmp_path / "b.tar", cache).files == len(SIZES)


def test_two_bundles_of_one_name_at_once_are_both_whole(
    folder: Path, made: weights.Snapshot, tmp_path: Path, cache: Path
) -> None:
    with serve_folder(folder) as hub:
        few = weights.fetch(MODEL, cache=tmp_path / "few", endpoint=hub.url, include=("config.json",))
    last, made_meanwhile = tmp_path / "b.tar", tmp_path / "meanwhile.tar"

    def another(meter: weights.TransferProgress) -> None:
        if not made_meanwhile.exists():
            write_bundle(few, tmp_path / "few", last, lambda meter: None)
            os.link(last, made_meanwhile)

    write_bundle(made, tmp_path / "elsewhere", last, another)
    assert carried(last, cache).files == len(SIZES)
    assert carried(made_meanwhile, tmp_path / "third").files == 1


KILLED = """
import os, sys
from pathlib import Path
from typing import Any
from launch import weights
from launch.weights.bundle import write_bundle
model, cache, file, signal = sys.argv[1:]
snapshot = weights.check(model, cache=Path(cache))
write_bundle(snapshot, Path(cache), Path(file), lambda meter: os.kill(os.getpid(), int(signal)))
"""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_bundler_that_is_killed_leaves_nothing(by: int, made: weights.Snapshot, tmp_path: Path) -> None:
    (tmp_path / "carried").mkdir()
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system has no files without a name")
    words = (MODEL, str(tmp_path / "elsewhere"), str(tmp_path / "carried" / "b.tar"), str(int(by)))
    done = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, check=False)
    assert done.returncode == -by
    assert not list((tmp_path / "carried").iterdir())


def test_a_models_own_manifest_is_one_of_its_files(tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (at / "manifest.json").write_text("[]")
    with serve_folder(tmp_path / "served") as hub:
        made = weights.fetch(MODEL, cache=tmp_path / "here", endpoint=hub.url)
    write_bundle(made, tmp_path / "here", tmp_path / "b.tar", lambda meter: None)
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert (carried(tmp_path / "unpacked", cache).path / "manifest.json").read_text() == "[]"


@pytest.mark.parametrize("name", [NAME, f"{NAME}/in/a/folder"])
def test_a_model_cannot_take_the_place_of_a_bundles_manifest(name: str, tmp_path: Path) -> None:
    at = tmp_path / "served" / MODEL / name
    at.parent.mkdir(parents=True)
    at.write_text("{}")
    with serve_folder(tmp_path / "served") as hub:
        made = weights.fetch(MODEL, cache=tmp_path / "here", endpoint=hub.url)
    with pytest.raises(SlipwayError, match="and so has every bundle"):
        write_bundle(made, tmp_path / "here", tmp_path / "b.tar", lambda meter: None)
    assert not (tmp_path / "b.tar").exists()
