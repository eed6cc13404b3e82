"""The metrics of tool calls: those of MiniMax-Provider-Verifier, and the schema of arguments."""

from __future__ import annotations

import pytest

from launch.acceptance.answer import ToolCall
from launch.acceptance.prompts import prompts
from launch.acceptance.tool_metrics import call_error, count


def test_counts_are_the_confusion_matrix() -> None:
    counts = count([(True, True), (True, True), (True, False), (False, True), (False, False)])
    assert (counts.tool_calls_finish_tool_calls, counts.tool_calls_finish_stop) == (2, 1)
    assert (counts.stop_finish_tool_calls, counts.stop_finish_stop) == (1, 1)
    assert counts.match_rate == pytest.approx(3 / 5)
    assert counts.similarity == pytest.approx(2 * 2 / (2 * 2 + 2))


def test_similarity_of_no_right_call_is_zero() -> None:
    assert count([(True, False), (False, False)]).similarity == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (ToolCall("tide", '{"port": "Oslo"}'), ""),
        (ToolCall("book_berth", '{"port": "Oslo", "nights": 3}'), ""),
        (ToolCall("book_berth", '{"port": "Oslo", "nights": "3"}'), "not of type 'integer'"),
        (ToolCall("book_berth", '{"port": "Oslo"}'), "'nights' is a required property"),
        (ToolCall("tide", '{"port": "Os'), "not JSON"),
        (ToolCall("tides", "{}"), "not on offer"),
        (ToolCall("tide", '"Oslo"'), "not of type 'object'"),
    ],
)
def test_call_error_names_what_does_not_fit(call: ToolCall, error: str) -> None:
    found = call_error(call, prompts().tools)
    assert error in found
    assert bool(found) == bool(error)
