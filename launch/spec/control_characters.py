"""Refuse characters that end a line, move the cursor or reverse text: what is shown is then not what is there.

A newline in a value writes its own lines into a Quadlet unit, for example `PodmanArgs=--privileged`.
"""

from __future__ import annotations

import re
from typing import Any

from errors import Refused

# C0 and C1 controls, Unicode's line ends, marks that change the direction of text (CVE-2021-42574), lone surrogates.
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def refuse_in(value: Any, skipped: tuple[str, ...] = ()) -> None:
    """Raise Refused for the first text with such a character in a dataclass; `skipped` names fields."""
    texts: list[str] = []
    _collect(value, skipped, texts)
    if not FORBIDDEN.search(" ".join(texts)):  # one search for all: a tenth of the time of a plan
        return
    for text in texts:
        if match := FORBIDDEN.search(text):
            raise Refused(
                f"{text[:80]!a} has the control character {match[0]!a}",
                why="it would end the line or the word in a file or a command that is made from the plan",
                fix="write the value on one line, or put it into a file and pass its path",
            )


def one_line(text: str) -> str:
    """Return a text for people as one line without such characters."""
    return " ".join(FORBIDDEN.sub(" ", text).split()) if FORBIDDEN.search(text) else text


def _collect(value: Any, skipped: tuple[str, ...], texts: list[str]) -> None:
    """Add the texts of a dataclass, a tuple or a text."""
    if isinstance(value, tuple):
        items = value
    elif hasattr(value, "__dataclass_fields__"):
        items = tuple(item for name, item in vars(value).items() if name not in skipped)
    else:
        items = (value,)
    for item in items:
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, tuple) or hasattr(item, "__dataclass_fields__"):
            _collect(item, (), texts)
