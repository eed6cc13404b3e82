"""How a process ended, where only another one or the shell says so."""

from __future__ import annotations

import re

from launch.diagnosis.analysis import Found, line_of
from launch.diagnosis.rules import Table

_NEGATIVE = re.compile(
    r"exit ?code:? ?-(\d+)|Failed core proc\(s\): \{[^}]*?: -(\d+)|worker died \(-(\d+)\)|"
    r"(?:terminated|killed|died) (?:by|with|due to|from) signal:? (\d+)",
    re.IGNORECASE,
)
_ABOVE = re.compile(r"\bexited with code (1[23]\d|14\d)\b|\bexit code:?\s+(1[23]\d|14\d)\b", re.IGNORECASE)


def signalled(text: str, table: Table) -> Found | None:
    """The signal that a line tells of: by its number, as an exit code, or in the shell's words."""
    numbers = [(match, int(match[match.lastindex or 0])) for match in _NEGATIVE.finditer(text)]
    numbers += [(match, int(match[match.lastindex or 0]) - 128) for match in _ABOVE.finditer(text)]
    for match, number in numbers:
        if symptom := table.signals.get(number):
            return Found(symptom, None, (line_of(text, match),))
    for symptom in table.signals.values():
        if words := symptom.match(text):
            return Found(symptom, None, (line_of(text, words),))
    return None
