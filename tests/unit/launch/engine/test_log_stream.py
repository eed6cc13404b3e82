"""Lines from an output stream that is cut anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launch.engine.log_stream import split_lines

lines_of_text = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1))


def test_split_lines_joins_a_line_that_continues_in_the_next_chunk() -> None:
    assert list(split_lines([b"one\ntw", b"o\nthr", b"ee"])) == ["one", "two", "three"]


def test_split_lines_ends_a_line_at_a_carriage_return() -> None:
    assert list(split_lines([b"10%\r20%\r", b"30%\n"])) == ["10%", "20%", "30%"]


@given(lines_of_text, st.integers(1, 7))
def test_split_lines_does_not_depend_on_the_size_of_chunks(lines: list[str], size: int) -> None:
    data = "\n".join(lines).encode()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert list(split_lines(chunks)) == lines
