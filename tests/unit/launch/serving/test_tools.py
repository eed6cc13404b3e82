"""Describe a tool by a short text."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.serving.tools import tool_of


def test_tool_of_returns_the_parameters_in_their_order() -> None:
    function = tool_of("book_berth:port,nights")["function"]
    assert function["name"] == "book_berth"
    assert list(function["parameters"]["properties"]) == ["port", "nights"]
    assert function["parameters"]["required"] == ["port", "nights"]


def test_tool_of_accepts_a_tool_without_parameters() -> None:
    assert tool_of("now")["function"]["parameters"]["properties"] == {}


@pytest.mark.parametrize("text", ["", "get weather", "a:", ":city", "a:b,", "1a", "a:b:c"])
def test_tool_of_refuses_other_texts(text: str) -> None:
    with pytest.raises(Refused, match="is not a tool"):
        tool_of(text)
