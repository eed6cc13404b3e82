"""Recognize the signal that ended a process from what another process or the shell reports."""

from __future__ import annotations

import re

from launch.diagnosis.analysis import matched_line
from launch.diagnosis.candidates import Candidate
from launch.diagnosis.rules import Rules

_SIGNAL_NUMBER = re.compile(
    r"exit ?code:? ?-(\d+)|Failed core proc\(s\): \{[^}]*?: -(\d+)|worker died \(-(\d+)\)|"
    r"code=(?:killed|dumped), status=(\d+)/|"  # systemd
    r"(?:terminated|killed|died) (?:by|with|due to|from) signal:? (\d+)",
    re.IGNORECASE,
)
_EXIT_CODE = re.compile(
    r"\bexited with code (1[23]\d|14\d)\b|\bexit code:?\s+(1[23]\d|14\d)\b", re.IGNORECASE
)


def match_signal(text: str, rules: Rules) -> Candidate | None:
    """Match a line that names a signal: by number, by exit code (128 + number), or in the shell's words."""
    numbers = [(match, int(match[match.lastindex or 0])) for match in _SIGNAL_NUMBER.finditer(text)]
    numbers += [(match, int(match[match.lastindex or 0]) - 128) for match in _EXIT_CODE.finditer(text)]
    for match, number in numbers:
        if rule := rules.ends.signals.get(number):
            return Candidate(rule, None, (matched_line(text, match),))
    for rule in rules.ends.signals.values():
        if shell_message := rule.match(text):
            return Candidate(rule, None, (matched_line(text, shell_message),))
    return None
