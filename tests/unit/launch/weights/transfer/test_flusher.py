from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launch.weights.transfer.flusher import MINIMUM, Flusher


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "partial", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def failing_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails to write, and reports it only once, as Linux does."""

    def fail_once(descriptor: int) -> None:
        monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail_once)


def wait_until(holds: Callable[[], bool], flusher: Flusher) -> None:
    for _ in range(50):  # ten seconds
        if holds():
            return
        flusher.wait()
    pytest.fail("the disk did not catch up")


def test_flusher_forces_what_was_written(file: int) -> None:
    flusher = Flusher(file, 0)
    os.ftruncate(file, MINIMUM)
    flusher.note(MINIMUM)
    wait_until(lambda: flusher.forced == MINIMUM, flusher)
    flusher.close()


def test_flusher_leaves_less_than_the_minimum_to_the_end(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: pytest.fail("too little to force"))
    flusher = Flusher(file, 0)
    flusher.note(MINIMUM - 1)
    flusher.close()
    assert flusher.forced == 0


def test_flusher_counts_what_an_earlier_fetch_wrote_as_forced(file: int) -> None:
    assert Flusher(file, MINIMUM).forced == MINIMUM


@pytest.mark.usefixtures("failing_disk")
def test_check_raises_the_disks_error(file: int) -> None:
    flusher = Flusher(file, 0)
    flusher.note(MINIMUM)
    wait_until(lambda: flusher.failed, flusher)
    with pytest.raises(OSError, match="Input/output"):
        flusher.check()
    assert flusher.forced == 0
    flusher.close()
    flusher.close()  # closing twice is allowed


@pytest.mark.usefixtures("failing_disk")
def test_finish_raises_an_error_that_came_after_the_last_write(file: int) -> None:
    flusher = Flusher(file, 0)
    flusher.note(MINIMUM)  # the last bytes: no write follows, and the kernel reports no error to `fsync`
    wait_until(lambda: flusher.failed, flusher)
    with pytest.raises(OSError, match="Input/output"):
        flusher.finish()


def test_finish_forces_the_rest(file: int) -> None:
    flusher = Flusher(file, 0)
    flusher.note(7)
    flusher.finish()
    assert flusher.forced == 7
