"""Whole lines out of the chunks that an engine streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


def split_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines out of chunks that end anywhere; a carriage return (a bar drawn again) ends a line too."""
    rest = b""
    for chunk in chunks:
        *whole, rest = re.split(rb"[\r\n]+", rest + chunk)
        yield from (line.decode(errors="replace") for line in whole if line)
    if rest:
        yield rest.decode(errors="replace")
