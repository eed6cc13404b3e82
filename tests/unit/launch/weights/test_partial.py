"""What a host that lost its power may find at the end of a partial file."""

from __future__ import annotations

import os

from launch.weights import partial

DATA = b"x" * partial.BLOCK


def test_a_block_of_zeros_is_no_data():
    assert partial.sound(memoryview(DATA + DATA)) == 2 * partial.BLOCK
    assert partial.sound(memoryview(DATA + bytes(partial.BLOCK) + DATA)) == partial.BLOCK
    assert partial.sound(memoryview(DATA + bytes(10))) == partial.BLOCK
    assert partial.sound(memoryview(bytes(100) + DATA)) == 100 + partial.BLOCK


def test_only_the_end_of_what_was_written_before_this_host_started_is_doubted(tmp_path, monkeypatch):
    monkeypatch.setattr(partial, "UNFORCED", 100)
    with (tmp_path / "part").open("w+b") as file:
        file.write(bytes(1000))
        file.flush()
        assert partial.unsure(file.fileno()) == 1000
        os.utime(file.fileno(), (1, 1))
        assert partial.unsure(file.fileno()) == 900
