"""Forcing a file to disk behind its writer."""

import errno
import os

import pytest

from launch.weights.flusher import LEAST, Flusher


@pytest.fixture
def file(tmp_path):
    descriptor = os.open(tmp_path / "partial", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def until_caught_up(flusher, most):
    for _ in range(50):  # ten seconds
        if not flusher.behind(most):
            return
        flusher.wait()
    pytest.fail("the disk never caught up")


def test_a_writer_that_is_ahead_is_caught_up_with(file):
    flusher = Flusher(file, 0)
    os.ftruncate(file, LEAST)
    flusher.note(LEAST)
    until_caught_up(flusher, 1)
    flusher.close()


def test_little_is_left_to_the_end(file, monkeypatch):
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: pytest.fail("too little to force"))
    flusher = Flusher(file, 0)
    flusher.note(LEAST - 1)
    flusher.close()
    assert flusher.behind(LEAST - 1)


def test_what_an_earlier_fetch_left_counts_as_forced(file):
    flusher = Flusher(file, LEAST)
    assert not flusher.behind(1)


def test_a_disk_that_fails_is_told_to_the_writer(file, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    flusher = Flusher(file, 0)
    flusher.note(LEAST)
    with pytest.raises(OSError, match="Input/output"):
        until_caught_up(flusher, 1)
    flusher.close()
    flusher.close()  # twice does no harm
