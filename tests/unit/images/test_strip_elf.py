"""strip_elf keeps every byte that a loader reads, and the library still loads."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.wheels import strip_elf


def elf(segments: list[tuple[int, int]], tail: int) -> bytes:
    """A file with segments of (offset, size), followed by `tail` bytes that no loader reads."""
    table = b"".join(struct.pack("<IIQQQQQQ", 1, 5, o, 0, 0, n, n, 4096) for o, n in segments)
    end = max([64 + len(table), *(o + n for o, n in segments)])
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 64, end, 0, 64, 56, len(segments), 64, 9, 8
    )
    return (head + table).ljust(end, b"x") + b"s" * tail


segment_lists = st.lists(st.tuples(st.integers(1000, 5000), st.integers(0, 5000)), max_size=4)


@given(segment_lists, st.integers(1, 999))
def test_strip_cuts_everything_after_the_last_segment(
    tmp_path_factory: pytest.TempPathFactory, segments: list[tuple[int, int]], tail: int
) -> None:
    path = tmp_path_factory.mktemp("elf") / "a.so"
    original = elf(segments, tail)
    path.write_bytes(original)
    assert strip_elf.strip(path) == tail
    stripped = path.read_bytes()
    assert stripped[64:] == original[64 : len(original) - tail]
    assert struct.unpack_from("<Q", stripped, 40) == (0,)  # offset of the section headers
    assert strip_elf.strip(path) == 0


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + b"\0" * 100, b"INPUT(libc.so.6)"]
)
def test_strip_leaves_other_files_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.so"
    path.write_bytes(content)
    assert strip_elf.strip(path) == 0
    assert path.read_bytes() == content


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on this host")
def test_a_stripped_library_still_loads(tmp_path: Path) -> None:
    source, library = tmp_path / "a.c", tmp_path / "a.so"
    source.write_text("int twice(int n) { return 2 * n; }\n")
    subprocess.run(["cc", "-g", "-shared", "-fPIC", "-o", library, source], check=True)
    assert strip_elf.strip(library) > 0
    assert ctypes.CDLL(str(library)).twice(21) == 42
