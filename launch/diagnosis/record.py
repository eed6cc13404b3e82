"""One log line without its wrapping: who said it, how loud, and the words.

A line may carry, from the outside in: a log collector's mark (Compose, journald, kubectl, json-file, CRI),
the engine's timestamp, the process (`(Worker_TP0 pid=24)`, `[rank1]:`) and the logger's own
`ERROR 11-23 02:58:24 [core.py:1510]`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

LONGEST = 4000  # characters of a line that are looked at; dumps of whole configurations are longer

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OUTER = re.compile(
    r"^(?:│\s?)?"
    r"(?:(?P<box>[\w./-]+)\s*\|\s)?"
    r"(?:\[pod/(?P<pod>[^\]]+)\]\s)?"
    r"(?:[A-Z][a-z]{2}\s+\d+\s[\d:]{8}\s\S+\s[^\s\[]+\[\d+\]:\s)?"
    r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?\s(?:std(?:out|err)\s[FP]\s)?)?"
    r"(?:\[(?:Info|Error|Warning)\] \(Process\) )?"
)
_PROCESS = re.compile(r"^\((?P<name>[^()\s,]+),?\s(?:\w+=\S+\s)?pid=(?P<pid>\d+)(?:, ip=[^)]+)?\)\s?")
_RANK = re.compile(r"^\[rank(?P<rank>\d+)\]:\s?(?=\S|\s\s|$)")
_LEVEL = re.compile(
    r"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+"
    r"(?:\d\d-\d\d\s\d\d:\d\d:\d\d(?:\.\d+)?\s+)?\[?(?P<place>[\w./<>-]+:\d+)\]\s?"
)
_PLAIN_LEVEL = re.compile(r"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):\s{1,5}")
_GLOG = re.compile(r"^\[?(?P<letter>[IWEF])\d{4} [\d:.]+ .*?\]\s?")
_PYTHON_WARNING = re.compile(r"^\S+\.py:\d+: \w*Warning: ")
_GROUP = re.compile(r"^\s+(?:\|\s|\+ (?=Exception Group)|\+-)")
_LETTERS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}


@dataclass(frozen=True)
class Record:
    """A line taken apart. `process` tells one writer from another, `who` is its name for people.

    `level` is "" for what is printed past the logger; `place` is the logging call, `core.py:1510`.
    """

    number: int
    process: str
    who: str
    level: str
    place: str
    text: str

    @property
    def writer(self) -> tuple[str, str]:
        """Lines of one traceback share it: the same process, the same logging call."""
        return self.process, self.place


def read(raw: str, number: int = 0) -> Record:
    """Take one line apart; never raises, whatever the line is."""
    text, box = _unwrapped(raw[:LONGEST].rstrip("\r\n"))
    who, process, text = _process(text)
    level, place, text = _level(text)
    if (group := _GROUP.match(text)) and not level:
        text = text[group.end() :]
    return Record(number, f"{box}{process}", who, level, place, text)


def _unwrapped(raw: str) -> tuple[str, str]:
    if raw.startswith('{"log":'):
        raw = _json_file(raw)
    if "\x1b" in raw:
        raw = _ANSI.sub("", raw)
    outer = _OUTER.match(raw)
    if outer is None:
        return raw, ""
    text = raw[outer.end() :]
    return text, outer["box"] or outer["pod"] or ""


def _json_file(raw: str) -> str:
    """The words in a line of the engine's own json-file log."""
    try:
        return str(json.loads(raw)["log"]).rstrip("\r\n")
    except (ValueError, KeyError, TypeError):
        return raw


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
