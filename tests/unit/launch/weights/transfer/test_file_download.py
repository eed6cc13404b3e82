"""How far a file may be ahead of its disk."""

import threading

import pytest

from launch.weights.cache import Place
from launch.weights.hashing import PIECE
from launch.weights.manifest import Entry
from launch.weights.transfer.file_download import SPAN, FileDownload
from launch.weights.transfer.flusher import LEAST


@pytest.fixture
def download(tmp_path):
    place = Place(tmp_path, "a/b")
    place.blobs.mkdir(parents=True)
    opened = FileDownload(Entry("m.safetensors", 9 * SPAN, "a" * 64), place, lambda count: None)
    opened.open(threading.Event())
    yield opened
    opened.leave()


def test_a_stream_is_at_most_a_span_ahead_of_the_disk(download):
    download.take()
    assert download.has_room(SPAN - PIECE)
    assert not download.has_room(SPAN - PIECE + 1)


def test_many_streams_are_at_most_as_many_spans_ahead(download):
    spans = [download.take() for _ in range(3)]
    assert download.has_room(spans[-1].last - PIECE)
    for _ in spans[1:]:
        download.release()
    assert not download.has_room(spans[-1].last - PIECE)


def test_what_the_disk_has_makes_room(download):
    span = download.take()
    download.write(span, memoryview(bytes(LEAST)))
    for _ in range(50):  # ten seconds
        if download.has_room(SPAN - PIECE + LEAST):
            break
        download.wait_room()
    else:
        pytest.fail("the disk never caught up")
    assert not download.has_room(SPAN - PIECE + LEAST + 1)
