"""A number with its noun."""

from __future__ import annotations

from launch.plural import count


def test_count_adds_an_s_unless_the_number_is_one() -> None:
    assert [count(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
