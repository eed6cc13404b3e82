"""Read weights ahead: the order, what is cached, the memory that bounds it, and the end. On real files."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.weights import page_cache
from launch.weights.page_cache import ReadAhead, cached, weight_files

MIB = 1 << 20
FEW = 0.2  # of the pages: probes bring some


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, ...]]:
    """Two files of 12 MiB that are not in the page cache, on a disk; 1 MiB is worth reading here."""
    monkeypatch.setattr(page_cache, "SMALLEST", MIB)
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        files = tuple(Path(folder) / f"model-{number}.safetensors" for number in (1, 2))
        for path in files:
            path.write_bytes(os.urandom(12 * MIB))
            evict(path)
        if cached(files) > FEW:
            pytest.skip("this file system keeps files in memory")
        for path in files:
            evict(path)
        yield files


def evict(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def wait_for(reader: ReadAhead) -> None:
    until = time.monotonic() + 20
    while reader.running and time.monotonic() < until:
        time.sleep(0.01)
    assert not reader.running


def test_the_files_are_in_the_page_cache_at_the_end(weights: tuple[Path, ...]) -> None:
    reader = ReadAhead(weights)
    assert reader.start() == "reading 24.0 MiB ahead into the page cache"
    wait_for(reader)
    assert cached(weights) == 1.0
    assert reader.read > 0


def test_asking_does_not_bring_the_files(weights: tuple[Path, ...]) -> None:
    for _ in range(3):
        assert cached(weights) < FEW


def test_cached_files_are_not_read_again(weights: tuple[Path, ...]) -> None:
    for path in weights:
        path.read_bytes()
    reader = ReadAhead(weights)
    assert reader.start() == "not read ahead: they are in the page cache already"
    assert (reader.running, reader.read) == (False, 0)


def test_nothing_is_read_if_memory_is_short(weights: tuple[Path, ...]) -> None:
    reader = ReadAhead(weights, needed=1 << 50)
    assert reader.start() == "not read ahead: memory is short"
    assert cached(weights) < FEW


def test_the_first_files_are_read_if_not_all_fit(
    weights: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "readable_ahead", lambda needed, limit: 12 * MIB)
    reader = ReadAhead(weights)
    assert reader.start() == "reading the first 12.0 MiB of 24.0 MiB ahead into the page cache"
    wait_for(reader)
    assert cached(weights[:1]) == 1.0
    assert cached(weights[1:]) < 0.5


def test_memory_that_becomes_short_ends_it(
    weights: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [1 << 30]
    monkeypatch.setattr(page_cache, "readable_ahead", lambda needed, limit: answers.pop() if answers else 0)
    monkeypatch.setattr(page_cache, "CHECK", 0.0)
    reader = ReadAhead(weights)
    reader.start()
    wait_for(reader)
    assert cached(weights[1:]) < 0.7


def test_stop_ends_it_at_once(weights: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.sendfile

    def slow(to: int, file: int, offset: int, count: int) -> int:
        time.sleep(0.5)
        return real(to, file, offset, count)

    monkeypatch.setattr(os, "sendfile", slow)
    reader = ReadAhead(weights)
    reader.start()
    start = time.monotonic()
    reader.stop()
    assert time.monotonic() - start < 5
    assert not reader.running
    assert reader.read < 24 * MIB


def test_a_file_system_without_sendfile_is_read_with_copies(
    weights: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(to: int, file: int, offset: int, count: int) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", refused)
    reader = ReadAhead(weights)
    reader.start()
    wait_for(reader)
    assert cached(weights) == 1.0


def test_a_file_that_disappears_ends_it_quietly(weights: tuple[Path, ...]) -> None:
    reader = ReadAhead((*weights, weights[0].with_name("model-3.safetensors")))
    weights[0].with_name("model-3.safetensors").write_bytes(b"x")
    assert "ahead" in reader.start()
    weights[1].unlink(missing_ok=True)
    wait_for(reader)


def test_weight_files_are_those_of_the_index_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("model-10.safetensors", "model-2.safetensors", "consolidated.safetensors", "other.bin"):
        (tmp_path / name).touch()
    names = [path.name for path in weight_files(tmp_path)]
    assert names == ["consolidated.safetensors", "model-2.safetensors", "model-10.safetensors"]
    index = {
        "weight_map": {"a": "model-10.safetensors", "b": "model-2.safetensors", "c": "absent.safetensors"}
    }
    (tmp_path / page_cache.INDEX).write_text(json.dumps(index))
    assert [path.name for path in weight_files(tmp_path)] == ["model-2.safetensors", "model-10.safetensors"]
    (tmp_path / page_cache.INDEX).write_text("{")
    assert len(weight_files(tmp_path)) == 3
    assert weight_files(tmp_path / "nowhere") == ()
