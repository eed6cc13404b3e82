"""Recognize complaints that healthy servers print as well: those of the logs in benign/, whatever their names are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from launch.diagnosis.log_line import parse_line
from launch.diagnosis.log_prefixes import PrefixStripper

BENIGN = Path(__file__).with_name("benign")

# What differs between two prints of the same line: quoted names, paths, addresses and numbers.
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/\d]\S*")


def is_innocent(text: str) -> bool:
    """Whether a healthy server prints the text, apart from names, paths and numbers."""
    return _shape(text) in _shapes()


def _shape(text: str) -> str:
    return " ".join(_VARIABLE.sub("#", text).split())


@cache
def _shapes() -> frozenset[str]:
    return frozenset(_shape(text) for path in BENIGN.glob("*.log") for text in _texts(path))


def _texts(path: Path) -> Iterator[str]:
    stripper = PrefixStripper()
    for raw in path.read_text(encoding="utf-8").splitlines():
        for stripped in stripper.strip(raw):
            yield parse_line(stripped).text
