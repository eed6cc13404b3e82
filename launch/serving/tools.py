"""Describe a tool for a chat request by a short text."""

from __future__ import annotations

import re
from typing import Any

from errors import Refused

_NAME = r"[A-Za-z_][\w-]{0,63}"
_TOOL = re.compile(rf"({_NAME})(?::({_NAME}(?:,{_NAME})*))?")


def tool_of(text: str) -> dict[str, Any]:
    """Return the tool of a text like `get_weather:city`: a name and its text parameters. Raises Refused."""
    match = _TOOL.fullmatch(text)
    if not match:
        raise Refused(
            f"'{text}' is not a tool", fix="write it as NAME:PARAMETER,..., e.g. --tool get_weather:city"
        )
    names = match[2].split(",") if match[2] else []
    parameters = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": names,
    }
    description = match[1].replace("_", " ")
    return {
        "type": "function",
        "function": {"name": match[1], "description": description, "parameters": parameters},
    }
