from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from launch.weights.bundle.format import MANIFEST_NAME, header, offsets, padding
from launch.weights.manifest import Entry, Manifest

NAMES = st.lists(st.text("abc", min_size=1, max_size=90), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAMES, st.integers(0, 2000), min_size=1, max_size=6), st.integers(1, 2000))
def test_offsets_are_where_tar_finds_the_files(sizes: dict[str, int], manifest_size: int) -> None:
    entries = tuple(Entry(name, size, "a" * 40) for name, size in sizes.items())
    members = {MANIFEST_NAME: manifest_size, **sizes}
    data = b"".join(header(name, size) + bytes(size) + padding(size) for name, size in members.items())
    expected = offsets(Manifest("a/b", "main", "c" * 40, entries), manifest_size)
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as tar:
        assert {member.name: member.offset_data for member in tar if member.name in sizes} == expected


def test_header_of_a_file_over_8_gib_is_valid_for_tar() -> None:
    member = tarfile.TarInfo.frombuf(header("model.safetensors", 9 << 30), "utf-8", "strict")
    assert member.size == 9 << 30
