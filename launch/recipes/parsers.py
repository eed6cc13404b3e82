"""Choose the parsers of tool calls and of reasoning for a model without a recipe, by its model_type and template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launch.checked_data.data_file import load

TOOLS = re.compile(r"\btools\b")
THINKING = re.compile(r"think|reasoning", re.IGNORECASE)


@dataclass(frozen=True)
class ParserRow:
    """One row of parsers.yaml."""

    model_types: tuple[str, ...]
    source: str
    template: str = ""
    tool: str = ""
    reasoning: str = ""
    own_format: bool = False


@dataclass(frozen=True)
class Parsers:
    """The names of the parsers to use, "" for none, and the source of the choice."""

    tool: str = ""
    reasoning: str = ""
    source: str = ""


@cache
def rows() -> tuple[ParserRow, ...]:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), tuple[ParserRow, ...])


def choose(model_type: str, template: str) -> Parsers:
    """Return the parsers for a model with this chat template."""
    row = next((row for row in rows() if model_type in row.model_types and row.template in template), None)
    if row is None:
        return Parsers()
    tools, thinking = (row.own_format or bool(part.search(template)) for part in (TOOLS, THINKING))
    return Parsers(row.tool if tools else "", row.reasoning if thinking else "", row.source)
