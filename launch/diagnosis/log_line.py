"""One line of vLLM: who said it, how loud, and the words.

Without its wrapping (see wrapping.py) a line may carry the process (`(Worker_TP0 pid=24)`, `[rank1]:`) and the
logger's own `ERROR 11-23 02:58:24 [core.py:1510]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.diagnosis.log_prefixes import Line

_PROCESS = re.compile(r"^\((?P<name>[^()\s,]+),?\s(?:[\w=]+\s)?pid=(?P<pid>\d+)(?:, ip=[^)]+)?\)\s?")
_RANK = re.compile(r"^\[rank(?P<rank>\d+)\]:\s?(?=\S|\s\s|$)")
_LEVEL = re.compile(
    r"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+"
    r"(?:(?:\d{4}-)?\d\d-\d\d\s\d\d:\d\d:\d\d(?:[.,]\d+)?\s+)?\[?(?P<place>[\w./<>-]+:\d+)\]\s?"
)
_PLAIN_LEVEL = re.compile(r"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):\s{1,5}")
_GLOG = re.compile(r"^\[?(?P<letter>[IWEF])\d{3,4} [\d:.]+ .*?\]\s?")
_PYTHON_WARNING = re.compile(r"^\S+\.py:\d+: \w*Warning: ")
_GROUP = re.compile(r"^\s+(?:\|\s|\+ (?=Exception Group)|\+-)")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LETTERS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}


@dataclass(frozen=True)
class Record:
    """A line taken apart. `process` tells one writer from another, `who` is its name for people.

    `level` is "" for what is printed past the logger; `place` is the logging call, `core.py:1510`; `box` is the
    container or pod where a collector names it.
    """

    number: int
    process: str
    who: str
    level: str
    place: str
    text: str
    box: str = ""

    @property
    def writer(self) -> tuple[str, str]:
        """Lines of one traceback share it: the same process, the same logging call."""
        return self.process, self.place

    @property
    def logged(self) -> bool:
        """Whether vLLM's own logger said it, and not a library past it."""
        return ".py:" in self.place


def read(line: Line, number: int = 0) -> Record:
    """Take one line apart; never raises, whatever the line is."""
    who, process, text = _process(line.text)
    level, place, text = _level(text)
    if (group := _GROUP.match(text)) and not level:
        text = text[group.end() :]
    if not level and line.level in _LEVELS:
        level = line.level
    return Record(number, f"{line.box}{process}", who, level, place, text, line.box)


def _process(text: str) -> tuple[str, str, str]:
    """Who speaks; where prefixes are nested (Ray, executors) the innermost counts."""
    who = pid = ""
    while match := _PROCESS.match(text):
        who, pid, text = match["name"], match["pid"], text[match.end() :]
    if match := _RANK.match(text):
        text = text[match.end() :]
        who, pid = who or f"rank{match['rank']}", pid or f"rank{match['rank']}"
    return who, pid, text


def _level(text: str) -> tuple[str, str, str]:
    if match := _LEVEL.match(text):
        return match["level"], match["place"], text[match.end() :]
    if match := _PLAIN_LEVEL.match(text):
        return match["level"], "", text[match.end() :]
    if match := _GLOG.match(text):
        return _LETTERS[match["letter"]], "native", text[match.end() :]
    if _PYTHON_WARNING.match(text):
        return "WARNING", "warnings", text
    return "", "", text
