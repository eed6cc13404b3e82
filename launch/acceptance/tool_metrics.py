"""Judge tool calls by the metrics of MiniMax-Provider-Verifier, and arguments by their JSON schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launch.acceptance.answer import ToolCall


@dataclass(frozen=True)
class Counts:
    """Answers by what was expected and what was done; the names are those of MiniMax-Provider-Verifier."""

    tool_calls_finish_tool_calls: int = 0
    tool_calls_finish_stop: int = 0
    stop_finish_tool_calls: int = 0
    stop_finish_stop: int = 0

    @property
    def match_rate(self) -> float:
        """The share of answers that call a tool if, and only if, one is expected."""
        right = self.tool_calls_finish_tool_calls + self.stop_finish_stop
        return right / max(right + self.tool_calls_finish_stop + self.stop_finish_tool_calls, 1)

    @property
    def similarity(self) -> float:
        """The F1 score of the calls, with the expectations of Slipway's questions as the reference."""
        right = self.tool_calls_finish_tool_calls
        wrong = self.tool_calls_finish_stop + self.stop_finish_tool_calls
        return 2 * right / (2 * right + wrong) if right or wrong else 1.0


def count(pairs: Iterable[tuple[bool, bool]]) -> Counts:
    """Count pairs of (a call is expected, a call was made)."""
    seen = list(pairs)
    return Counts(
        *(seen.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
    )


def call_error(call: ToolCall, tools: Sequence[Mapping[str, Any]]) -> str:
    """Describe why a call does not fit the tools on offer; "" if it does."""
    from jsonschema import Draft202012Validator

    tool = next((tool for tool in tools if tool["name"] == call.name), None)
    if tool is None:
        return f"it calls '{call.name}', which is not on offer"
    try:
        values = call.values()
    except ValueError:
        return f"the arguments of {call.name} are not JSON: '{call.arguments[:60]}'"
    error = next(Draft202012Validator(tool["parameters"]).iter_errors(values), None)
    return f"{call.name}: {error.message[:100]}" if error else ""
