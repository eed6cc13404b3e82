"""The cut keeps every byte that a loader reads, and the file still loads."""

import ctypes
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.wheels import strip_elf


def elf(segments: list[tuple[int, int]], tail: int) -> bytes:
    """A file with these (offset, size) segments and `tail` bytes behind them that nobody loads."""
    table = b"".join(struct.pack("<IIQQQQQQ", 1, 5, o, 0, 0, n, n, 4096) for o, n in segments)
    end = max([64 + len(table), *(o + n for o, n in segments)])
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 64, end, 0, 64, 56, len(segments), 64, 9, 8
    )
    return (head + table).ljust(end, b"x") + b"s" * tail


@given(st.lists(st.tuples(st.integers(1000, 5000), st.integers(0, 5000)), max_size=4), st.integers(1, 999))
def test_all_behind_the_last_segment_goes(tmp_path_factory, segments, tail):
    path = tmp_path_factory.mktemp("elf") / "a.so"
    whole = elf(segments, tail)
    path.write_bytes(whole)
    assert strip_elf.strip(path) == tail
    left = path.read_bytes()
    assert left[64:] == whole[64 : len(whole) - tail]
    assert struct.unpack_from("<Q", left, 40) == (0,)  # no section headers are promised
    assert strip_elf.strip(path) == 0


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + b"\0" * 100, b"INPUT(libc.so.6)"]
)
def test_what_is_no_64_bit_elf_file_is_left_alone(tmp_path, content):
    path = tmp_path / "a.so"
    path.write_bytes(content)
    assert strip_elf.strip(path) == 0
    assert path.read_bytes() == content


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on this host")
def test_a_real_library_still_works(tmp_path):
    source, library = tmp_path / "a.c", tmp_path / "a.so"
    source.write_text("int twice(int n) { return 2 * n; }\n")
    subprocess.run(["cc", "-g", "-shared", "-fPIC", "-o", library, source], check=True)
    assert strip_elf.strip(library) > 0
    assert ctypes.CDLL(str(library)).twice(21) == 42
