from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from launch.weights.bundle import _header, _padding, offsets
from launch.weights.manifest import Entry, Manifest

NAMES = st.lists(st.text("abc", min_size=1, max_size=90), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAMES, st.integers(0, 2000), min_size=1, max_size=6))
def test_where_a_file_begins_is_where_tar_finds_it(sizes: dict[str, int]) -> None:
    entries = tuple(Entry(name, size, "a" * 40) for name, size in sizes.items())
    data = b"".join(_header(e.path, e.size) + bytes(e.size) + _padding(e.size) for e in entries) + bytes(1024)
    found = offsets(Manifest("a/b", "main", "c" * 40, entries), 0)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {member.name: member.offset_data for member in tar} == found


def test_a_file_of_more_than_8_gib_has_a_header_that_tar_understands() -> None:
    member = tarfile.TarInfo.frombuf(_header("model.safetensors", 9 << 30), "utf-8", "strict")
    assert member.size == 9 << 30
