"""Refuse YAML that is small as a text and endless as data: deep nesting, aliases of aliases, a value inside itself.

libyaml composes nested values by recursion in C, so that about 20,000 open brackets end the process.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_DEPTH = 200
MAX_VALUES = 1_000_000  # with each alias counted as what it stands for
SAFE_DEPTH = 5000  # no text that cannot nest deeper is looked at
_INDENTS = re.compile(r"^[ ?:-]*", re.MULTILINE)
_ALIAS = re.compile(r"(?<![\w*])\*\w")


def check_text(text: str, loader: Any) -> None:
    """Raise YAMLError for a text that nests deeper than MAX_DEPTH."""
    brackets = text.count("[") + text.count("{")
    if brackets + max(map(len, _INDENTS.findall(text)), default=0) <= SAFE_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested deeper than {MAX_DEPTH} levels")


def check_values(text: str, value: Any) -> None:
    """Raise YAMLError if the aliases of a text stand for more than MAX_VALUES values."""
    if _ALIAS.search(text):
        _count(value, {})


def _count(value: Any, counted: dict[int, int]) -> int:
    """Return the number of values below one, each alias counted again. The depth is limited by `check_text`."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) in counted:
        if counted[id(value)] < 0:
            raise yaml.YAMLError("a value contains itself")
        return counted[id(value)]
    counted[id(value)] = -1
    children = value.values() if isinstance(value, dict) else value
    counted[id(value)] = total = 1 + sum(_count(child, counted) for child in children)
    if total > MAX_VALUES:
        raise yaml.YAMLError(f"its aliases stand for more than {MAX_VALUES:,} values")
    return total
