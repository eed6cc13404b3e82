"""Write a bundle: complete or not at all, without touching other files."""

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
from launch.weights.bundle.format import MANIFEST_NAME
from launch.weights.bundle.write import require_target, write_bundle
from launch.weights.fetch import fetch_model
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot
from tests.hub.conftest import BIG, MODEL, SIZES, fetch_from
from tests.hub.faults import serve_folder
from tests.invocation import ROOT, invoke


def test_write_bundle_fails_for_a_file_with_wrong_content(elsewhere: Snapshot, tmp_path: Path) -> None:
    with (elsewhere.path / BIG).open("r+b") as stream:
        stream.write(b"rot")
    with pytest.raises(SlipwayError, match="no bundle was made"):
        write_bundle(elsewhere, tmp_path / "elsewhere", tmp_path / "b.tar", lambda progress: None)
    assert not [at for at in tmp_path.iterdir() if at.is_file()]


def test_write_bundle_names_a_file_that_cannot_be_read(elsewhere: Snapshot, tmp_path: Path) -> None:
    (elsewhere.path / BIG).unlink()
    with pytest.raises(SlipwayError, match=f"{BIG} cannot be read"):
        write_bundle(elsewhere, tmp_path / "elsewhere", tmp_path / "b.tar", lambda progress: None)
    assert not (tmp_path / "b.tar").exists()


def forbid_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave like a file system without O_TMPFILE."""
    real = os.open

    def without(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", without)


# Bundles have no name until they are complete, but not every file system has unnamed files.
@pytest.mark.parametrize("unnamed_files", [True, False])
def test_ctrl_c_leaves_no_incomplete_bundle(
    unnamed_files: bool, elsewhere: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed_files:
        forbid_unnamed_files(monkeypatch)

    def interrupt(progress: TransferProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(elsewhere, tmp_path / "elsewhere", tmp_path / "b.tar", interrupt)
    assert not [at for at in tmp_path.iterdir() if at.is_file()]


def test_require_target_refuses_what_cannot_be_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # like a device, it must not be replaced
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


def test_write_bundle_does_not_replace_a_pipe(elsewhere: Snapshot, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.tar")
    with pytest.raises(Refused, match="not a regular file"):
        write_bundle(elsewhere, tmp_path / "elsewhere", tmp_path / "b.tar", lambda progress: None)
    assert (tmp_path / "b.tar").is_fifo()


def test_fetch_writes_a_bundle_offline(elsewhere: Snapshot, tmp_path: Path, cache: Path) -> None:
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
    assert fetch_from(tmp_path / "b.tar", cache).files == len(SIZES)


@pytest.mark.parametrize("unnamed_files", [True, False])
def test_write_bundle_changes_no_other_file(
    unnamed_files: bool, elsewhere: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    if not unnamed_files:
        forbid_unnamed_files(monkeypatch)
    (tmp_path / "older").write_text("an older one")
    (tmp_path / "b.tar").symlink_to("older")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "b.tar.incomplete").symlink_to("mine")
    write_bundle(elsewhere, tmp_path / "elsewhere", tmp_path / "b.tar", lambda progress: None)
    assert (tmp_path / "b.tar.incomplete").read_text() == "mine"
    assert (tmp_path / "older").read_text() == "an older one"
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == ["b.tar", "b.tar.incomplete", "mine", "older"]
    assert fetch_from(tmp_path / "b.tar", cache).files == len(SIZES)


def test_two_bundles_written_to_one_name_at_once_are_both_complete(
    folder: Path, elsewhere: Snapshot, tmp_path: Path, cache: Path
) -> None:
    with serve_folder(folder) as hub:
        few = fetch_model(MODEL, cache=tmp_path / "few", endpoint=hub.url, include=("config.json",))
    last, parallel = tmp_path / "b.tar", tmp_path / "meanwhile.tar"

    def another(progress: TransferProgress) -> None:
        if not parallel.exists():
            write_bundle(few, tmp_path / "few", last, lambda progress: None)
            os.link(last, parallel)

    write_bundle(elsewhere, tmp_path / "elsewhere", last, another)
    assert fetch_from(last, cache).files == len(SIZES)
    assert fetch_from(parallel, tmp_path / "third").files == 1


KILLED = """
import os, sys
from pathlib import Path
from typing import Any
from launch.weights.snapshot import Snapshot
from launch.weights.snapshot import require_complete
from launch.weights.fetch import fetch_model
from launch.weights.progress import TransferProgress
from launch.weights.bundle.write import write_bundle
model, cache, file, signal = sys.argv[1:]
snapshot = require_complete(model, cache=Path(cache))
write_bundle(snapshot, Path(cache), Path(file), lambda progress: os.kill(os.getpid(), int(signal)))
"""


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_process_leaves_no_incomplete_bundle(
    signal_number: int, elsewhere: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "written").mkdir()
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system has no files without a name")
    words = (MODEL, str(tmp_path / "elsewhere"), str(tmp_path / "written" / "b.tar"), str(int(signal_number)))
    default = ("env", "--default-signal=HUP,TERM")  # `nohup pytest` would hand down an ignored SIGHUP
    done = subprocess.run([*default, sys.executable, "-c", KILLED, *words], cwd=ROOT, check=False)
    assert done.returncode == -signal_number
    assert not list((tmp_path / "written").iterdir())


def test_a_model_may_have_its_own_manifest_json(tmp_path: Path, cache: Path) -> None:
    at = tmp_path / "served" / MODEL
    at.mkdir(parents=True)
    (at / "manifest.json").write_text("[]")
    with serve_folder(tmp_path / "served") as hub:
        snapshot = fetch_model(MODEL, cache=tmp_path / "here", endpoint=hub.url)
    write_bundle(snapshot, tmp_path / "here", tmp_path / "b.tar", lambda progress: None)
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert (fetch_from(tmp_path / "unpacked", cache).path / "manifest.json").read_text() == "[]"


@pytest.mark.parametrize("name", [MANIFEST_NAME, f"{MANIFEST_NAME}/in/a/folder"])
def test_write_bundle_refuses_a_model_with_the_name_of_the_manifest(name: str, tmp_path: Path) -> None:
    at = tmp_path / "served" / MODEL / name
    at.parent.mkdir(parents=True)
    at.write_text("{}")
    with serve_folder(tmp_path / "served") as hub:
        snapshot = fetch_model(MODEL, cache=tmp_path / "here", endpoint=hub.url)
    with pytest.raises(SlipwayError, match=r"has a file slipway\.manifest\.json"):
        write_bundle(snapshot, tmp_path / "here", tmp_path / "b.tar", lambda progress: None)
    assert not (tmp_path / "b.tar").exists()
