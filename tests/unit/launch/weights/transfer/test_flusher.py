"""Forcing a file to disk behind its writer."""

import errno
import os

import pytest

from launch.weights.transfer.flusher import LEAST, Flusher


@pytest.fixture
def file(tmp_path):
    descriptor = os.open(tmp_path / "partial", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def broken(monkeypatch):
    """A disk that does not take what it is given, and says so once, as Linux does."""

    def fail_once(descriptor):
        monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail_once)


def until(holds, flusher):
    for _ in range(50):  # ten seconds
        if holds():
            return
        flusher.wait()
    pytest.fail("the disk never caught up")


def test_a_writer_that_is_ahead_is_caught_up_with(file):
    flusher = Flusher(file, 0)
    os.ftruncate(file, LEAST)
    flusher.note(LEAST)
    until(lambda: flusher.forced == LEAST, flusher)
    flusher.close()


def test_little_is_left_to_the_end(file, monkeypatch):
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: pytest.fail("too little to force"))
    flusher = Flusher(file, 0)
    flusher.note(LEAST - 1)
    flusher.close()
    assert flusher.forced == 0


def test_what_an_earlier_fetch_left_counts_as_forced(file):
    assert Flusher(file, LEAST).forced == LEAST


def test_a_disk_that_fails_is_told_to_the_writer(file, broken):
    flusher = Flusher(file, 0)
    flusher.note(LEAST)
    until(lambda: flusher.failed, flusher)
    with pytest.raises(OSError, match="Input/output"):
        flusher.check()
    assert flusher.forced == 0
    flusher.close()
    flusher.close()  # twice does no harm


def test_a_disk_that_failed_behind_the_last_byte_is_told_at_the_end(file, broken):
    flusher = Flusher(file, 0)
    flusher.note(LEAST)  # the last byte: nobody writes after it, and `fsync` will find nothing wrong
    until(lambda: flusher.failed, flusher)
    with pytest.raises(OSError, match="Input/output"):
        flusher.finish()


def test_the_end_forces_the_rest(file):
    flusher = Flusher(file, 0)
    flusher.note(7)
    flusher.finish()
    assert flusher.forced == 7
