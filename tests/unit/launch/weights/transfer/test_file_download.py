"""How far a download may be ahead of its disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.weights.cache import ModelFolder
from launch.weights.hashing import PIECE
from launch.weights.manifest import Entry
from launch.weights.transfer.file_download import SPAN, FileDownload
from launch.weights.transfer.flusher import MINIMUM


@pytest.fixture
def download(tmp_path: Path) -> Iterator[FileDownload]:
    folder = ModelFolder(tmp_path, "a/b")
    folder.blobs.mkdir(parents=True)
    download = FileDownload(Entry("m.safetensors", 9 * SPAN, "a" * 64), folder, lambda count: None)
    download.open(threading.Event())
    yield download
    download.close()


def test_one_worker_may_be_one_span_ahead(download: FileDownload) -> None:
    download.take()
    assert download.has_space(SPAN - PIECE)
    assert not download.has_space(SPAN - PIECE + 1)


def test_each_worker_may_be_one_span_ahead(download: FileDownload) -> None:
    spans = [span for _ in range(3) if (span := download.take())]
    assert download.has_space(spans[-1].last - PIECE)
    for _ in spans[1:]:
        download.release()
    assert not download.has_space(spans[-1].last - PIECE)


def test_bytes_on_disk_free_space(download: FileDownload) -> None:
    span = download.take()
    assert span
    download.write(span, memoryview(bytes(MINIMUM)))
    for _ in range(50):  # ten seconds
        if download.has_space(SPAN - PIECE + MINIMUM):
            break
        download.wait_for_disk()
    else:
        pytest.fail("the disk did not catch up")
    assert not download.has_space(SPAN - PIECE + MINIMUM + 1)
