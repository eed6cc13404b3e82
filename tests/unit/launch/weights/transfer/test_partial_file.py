"""What a loss of power may leave at the end of a partial file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry
from launch.weights.transfer import partial_file
from launch.weights.transfer.partial_file import BLOCK, bytes_before_zeros

DATA = b"x" * BLOCK


def test_bytes_before_zeros_ends_at_a_block_of_zeros() -> None:
    assert bytes_before_zeros(memoryview(DATA + DATA)) == 2 * BLOCK
    assert bytes_before_zeros(memoryview(DATA + bytes(BLOCK) + DATA)) == BLOCK
    assert bytes_before_zeros(memoryview(DATA + bytes(10))) == BLOCK
    assert bytes_before_zeros(memoryview(bytes(100) + DATA)) == 100 + BLOCK


@pytest.mark.parametrize(("written_before_boot", "kept"), [(False, 4), (True, 3)])
def test_resume_drops_zeros_at_the_end_if_they_were_written_before_the_last_boot(
    written_before_boot: bool, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_file, "UNFORCED", 2 * BLOCK)
    folder, zeros = ModelFolder(tmp_path, "harbour/dinghy"), bytes(BLOCK)
    folder.blobs.mkdir(parents=True)
    own = partial_file.own(folder, "a" * 64)
    own.write_bytes(zeros + DATA + DATA + zeros)  # the first block is far enough from the end to be sure
    if written_before_boot:
        os.utime(own, (1, 1))
    entry, counted = Entry("model.safetensors", 4 * BLOCK, "a" * 64), list[int]()
    file, _, length = partial_file.resume(folder, entry, [], counted.append, threading.Event())
    os.close(file)
    assert own.stat().st_size == length == sum(counted) == kept * BLOCK
