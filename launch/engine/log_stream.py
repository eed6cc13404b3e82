"""Split the chunks of an engine's output stream into lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


def split_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines from chunks that end anywhere. A carriage return ends a line, too: it redraws a progress bar."""
    rest = b""
    for chunk in chunks:
        *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
        yield from (line.decode(errors="replace") for line in lines if line)
    if rest:
        yield rest.decode(errors="replace")
