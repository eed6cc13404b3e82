"""What collectors put around a line, taken off: colours, timestamps, JSON, the name of a pod.

A mark that nobody listed is learned: what stands in front of vLLM's own prefix, twice in the same form, is taken
off the lines that have no such prefix too (those of a traceback that Python prints itself).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 4000  # characters of a line that are looked at; dumps of whole configurations are longer
_SHAPES = 32  # forms of a mark that are remembered
_FRONT = 200  # characters in which a mark ends

_ANSI = re.compile(
    r"(?:\x1b|\^\[|#033|\\u001b|\\x1b)\[[0-9;?]*[A-Za-z]|"
    r"\[\d{1,2}(?:;\d{1,3}){1,4}m"  # copied without its escape character
)
_STAMP = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?"
_OUTER = re.compile(
    r"^(?:│\s?)?"
    r"(?:(?P<box>[\w./-]+)\s+\|\s)?"
    r"(?:\[pod/(?P<pod>[^\]]+)\]\s)?"
    r"(?:[A-Z][a-z]{2}\s+\d+\s[\d:]{8}\s\S+\s[^\s\[]+\[\d+\]:\s)?"
    rf"(?:\[?{_STAMP}\]?(?:\s|$)(?:std(?:out|err)\s[FP]\s)?)?"
    r"(?:\[(?:Info|Error|Warning)\] \(Process\) )?"
)
_STACK = re.compile(
    r"(?P<mark>(?!\[rank|\w+:\s+Trace)\S[^(]*?(?:\d|\b(?:DEBUG|INFO|WARNING|ERROR)\b)[^(]*?)"
    r"Traceback \(most recent call last"
)
_DATED = r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d"
_OURS = re.compile(rf"\(\w+,?(?: [\w=]+)? pid=\d+|{_DATED}")
_BEGIN = re.compile(rf"(?:\(\w+,?(?: [\w=]+)? pid=\d+[^()]*\) ?)*{_DATED} \[?[\w./]+:\d+\]")
_RETURNS = re.compile(r"\^M(?=\^\[|\(|$)")  # carriage returns, as a terminal shows them
_LEVEL_WORD = re.compile(r"(?i)\b(?:debug|info|warning|warn|error|critical|stdout|stderr)\b")
_WORDS = ("log", "message", "msg", "textPayload", "MESSAGE", "@message", "_msg", "text", "body", "line")
_TRACES = ("exc_info", "exception", "traceback", "stack_trace", "exc_text", "stack")
_LEVELS = ("level", "levelname", "log.level")  # not severity, which is but the stream for most collectors
_INSIDE = ("jsonPayload", "record", "fields")
_LOGFMT = re.compile(r'^(?=.*\blevel=(?P<level>\w+)).*\bmsg="(?P<words>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Line:
    """A line out of its wrapping; `level` is what the wrapping said of it."""

    text: str
    box: str = ""
    level: str = ""


class Wrapping:
    """Takes lines out of their wrapping, and learns its form as it goes."""

    levelled = False  # whether marks carry a level of their own, which says nothing of vLLM's

    def __init__(self) -> None:
        self._shapes: Counter[str] = Counter()
        self._known: list[re.Pattern[str]] = []

    def lines(self, raw: str) -> Iterator[Line]:
        """The lines in one line of a file; none where it is but a timestamp."""
        for level, part in _parts(raw.rstrip()):
            plain = _ANSI.sub("", part[:LONGEST])
            outer = _OUTER.match(plain)
            box = (outer["box"] or outer["pod"] or "") if outer else ""
            mark, text = self._marked(plain[outer.end() :] if outer else plain)
            if text.strip() or not plain.strip():
                yield Line(text.removesuffix("\\n"), box or mark, level)

    def learn(self, raw: str) -> None:
        """Look at a line for its mark only."""
        if " pid=" in raw or "INFO " in raw:
            for _ in self.lines(raw[:LONGEST]):
                pass

    def _marked(self, text: str) -> tuple[str, str]:
        """The mark in front of a line, and the line without it."""
        if ours := _OURS.search(text, 0, _FRONT):
            return self._learned(text[: ours.start()]), text[ours.start() :]
        if python_s_own := _STACK.match(text, 0, _FRONT):
            return self._learned(python_s_own["mark"], 2), text[python_s_own.end("mark") :]
        for shape in self._known:
            if match := shape.match(text):
                return _name(match[0]), text[match.end() :]
        return "", text

    def _learned(self, mark: str, weight: int = 1) -> str:
        shape = _shape(mark)
        if mark and (shape in self._shapes or len(self._shapes) < _SHAPES):
            self._shapes[shape] += weight
            if self._shapes[shape] > 1 and shape not in (known.pattern for known in self._known):
                self._known.append(re.compile(shape))
                self.levelled |= _LEVEL_WORD.search(mark) is not None
        return _name(mark)


def _shape(mark: str) -> str:
    """A pattern for marks that differ only in their numbers and levels."""
    escaped = re.sub(r"\d+", r"\\d+", re.escape(mark))
    return _LEVEL_WORD.sub(r"\\w+", escaped)


def _name(mark: str) -> str:
    """What of a mark names its writer: no times, no levels."""
    words = (word for word in mark.split() if re.search("[A-Za-z]", word) and not re.match(r"\W*\d", word))
    return " ".join(word for word in words if word.strip("[]:-").lower() not in ("info", "error", "warning"))


def _parts(raw: str) -> list[tuple[str, str]]:
    """The lines that one line holds, with their level: the fields of JSON, or lines pasted into one."""
    said = _fields(raw) if raw.startswith("{") else []
    if raw.startswith(("time=", "ts=", "level=")) and (logfmt := _LOGFMT.match(raw)):
        words = logfmt["words"].replace('\\"', '"').replace("\\n", "\n")
        said = [(_level(logfmt["level"]), line) for line in words.splitlines()]
    return [(level, line) for level, text in said or [("", raw)] for line in _pasted(text)]


def _pasted(text: str) -> list[str]:
    """The lines that were copied into one."""
    if "^M" in text:
        return _RETURNS.split(text)
    if len(text) < _FRONT or not _BEGIN.search(text, 0, 10 * _FRONT):
        return [text]
    cuts = [begin.start() for begin in _BEGIN.finditer(text)][1:]
    return [text[a:b].rstrip() for a, b in zip([0, *cuts], [*cuts, None], strict=True)]


def _fields(raw: str) -> list[tuple[str, str]]:
    """The words of a log in JSON lines, and the traceback that is a field of its own there."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, dict):
        return []
    inside: Mapping[str, Any] = next((v for k in _INSIDE if isinstance(v := found.get(k), dict)), {})
    found = {**found, **inside}
    said = "\n".join(_first(found, keys) for keys in (_WORDS, _TRACES))
    return [(_level(_first(found, _LEVELS)), line) for line in said.rstrip("\n").splitlines()]


def _first(found: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := found.get(key), str) and value), "")


def _level(name: str) -> str:
    return {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(name.upper(), name.upper())
