"""What a host that lost its power may find at the end of a partial file."""

from __future__ import annotations

import os

from launch.weights.cache import Place
from launch.weights.transfer import partial_file

DATA = b"x" * partial_file.BLOCK


def test_a_block_of_zeros_is_no_data():
    assert partial_file.sound(memoryview(DATA + DATA)) == 2 * partial_file.BLOCK
    assert partial_file.sound(memoryview(DATA + bytes(partial_file.BLOCK) + DATA)) == partial_file.BLOCK
    assert partial_file.sound(memoryview(DATA + bytes(10))) == partial_file.BLOCK
    assert partial_file.sound(memoryview(bytes(100) + DATA)) == 100 + partial_file.BLOCK


def test_only_the_end_of_what_was_written_before_this_host_started_is_doubted(tmp_path, monkeypatch):
    monkeypatch.setattr(partial_file, "UNFORCED", 2 * partial_file.BLOCK)
    place, zeros = Place(tmp_path, "harbour/dinghy"), bytes(partial_file.BLOCK)
    place.blobs.mkdir(parents=True)
    own, size = partial_file.own(place, "a"), 4 * partial_file.BLOCK
    own.write_bytes(zeros + DATA + DATA + zeros)
    for written, kept in ((None, 4), ((1, 1), 3)):
        if written:
            os.utime(own, written)
        os.close(partial_file.open_own(place, "a", size, []))
        assert own.stat().st_size == kept * partial_file.BLOCK
