from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from launch import atomic_write

pytestmark = pytest.mark.usefixtures("file_system")


@pytest.fixture(params=["with unnamed files", "without unnamed files"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test on a file system with O_TMPFILE and on one without."""
    if request.param == "with unnamed files":
        return
    real = os.open

    def without(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", without)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_text_replaces_a_file_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for text in ("old", "new: \N{SNOWMAN}"):
        atomic_write.write_text(path, text)
        assert path.read_text() == text
    assert names(path.parent) == ["file"]


def test_write_text_sets_the_mode_before_the_file_has_a_name(tmp_path: Path) -> None:
    atomic_write.write_text(tmp_path / "key", "secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_write_texts_changes_no_file_if_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        atomic_write.write_texts({tmp_path / "a": "new", tmp_path / "file" / "b": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a", "file"]


def test_new_file_leaves_nothing_after_an_exception(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write.new_file(tmp_path / "a") as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_write_text_replaces_a_link_and_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to("target")
    atomic_write.write_text(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "precious"
    assert (tmp_path / "link").read_text() == "new"


def test_require_writable_raises_for_a_folder_that_is_not_there(tmp_path: Path) -> None:
    atomic_write.require_writable(tmp_path)
    assert names(tmp_path) == []
    with pytest.raises(OSError):
        atomic_write.require_writable(tmp_path / "nowhere")
