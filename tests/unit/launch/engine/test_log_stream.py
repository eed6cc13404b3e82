from hypothesis import given
from hypothesis import strategies as st

from launch.engine.log_stream import split_lines


def test_a_line_may_end_in_another_chunk():
    assert list(split_lines([b"one\ntw", b"o\nthr", b"ee"])) == ["one", "two", "three"]


def test_a_bar_that_is_drawn_again_is_many_lines():
    assert list(split_lines([b"10%\r20%\r", b"30%\n"])) == ["10%", "20%", "30%"]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)), st.integers(1, 7)
)
def test_however_it_is_cut_the_lines_are_the_same(lines, size):
    data = "\n".join(lines).encode()
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    assert list(split_lines(chunks)) == [line.encode().decode() for line in lines]
