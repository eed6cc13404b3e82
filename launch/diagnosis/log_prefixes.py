"""Strip what log collectors add around a line: colours, timestamps, JSON, pod names.

Unlisted prefixes are learned: text that precedes vLLM's own prefix in two lines of the same form is also stripped
from lines without that prefix, such as those of a traceback that Python prints itself.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_LENGTH = 4000  # characters of a line that are read; dumps of whole configurations are longer
_MAX_PATTERNS = 32  # learned prefix patterns
_MAX_PREFIX = 200  # characters in which a prefix ends

_ANSI = re.compile(
    r"(?:\x1b|\^\[|#033|\\u001b|\\x1b)\[[0-9;?]*[A-Za-z]|"
    r"\[\d{1,2}(?:;\d{1,3}){1,4}m"  # copied without its escape character
)
_COLOUR_TAG = re.compile(r"</?(?:font|span)\b[^>]*>")
_TAG = re.compile(r"</?(?:font|span|pre|b|i|u)\b[^>]*>")
_TIMESTAMP = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?"
_COLLECTOR_PREFIX = re.compile(
    r"^(?:│\s?)?"
    r"(?:(?P<container>[\w./-]+)\s+\|\s)?"
    r"(?:\[pod/(?P<pod>[^\]]+)\]\s)?"
    r"(?:[A-Z][a-z]{2}\s+\d+\s[\d:]{8}\s\S+\s[^\s\[]+\[\d+\]:\s)?"
    rf"(?:\[?{_TIMESTAMP}\]?(?:\s|$)(?:std(?:out|err)\s[FP]\s)?)?"
    r"(?:\[(?:Info|Error|Warning)\] \(Process\) )?"
)
_PREFIXED_TRACEBACK = re.compile(
    r"(?P<prefix>(?!\[rank|\w+:\s+Trace)\S[^(]*?(?:\d|\b(?:DEBUG|INFO|WARNING|ERROR)\b)[^(]*?)"
    r"Traceback \(most recent call last"
)
_LEVEL_AND_DATE = r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d"
_VLLM_PREFIX = re.compile(rf"\(\w+,?(?: [\w=]+)? pid=\d+|{_LEVEL_AND_DATE}")
_VLLM_LINE_START = re.compile(
    rf"(?:\(\w+,?(?: [\w=]+)? pid=\d+[^()]*\) ?)*{_LEVEL_AND_DATE} \[?[\w./]+:\d+\]"
)
_CARRIAGE_RETURN = re.compile(r"\^M(?=\^\[|\(|$)")  # as a terminal shows it
_LEVEL_WORD = re.compile(r"(?i)\b(?:debug|info|warning|warn|error|critical|stdout|stderr)\b")
_MESSAGE_KEYS = (
    "log",
    "message",
    "msg",
    "textPayload",
    "MESSAGE",
    "@message",
    "_msg",
    "text",
    "body",
    "line",
)
_TRACEBACK_KEYS = ("exc_info", "exception", "traceback", "stack_trace", "exc_text", "stack")
_LEVEL_KEYS = ("level", "levelname", "log.level")  # not severity: most collectors set it from the stream
_NESTED_KEYS = ("jsonPayload", "record", "fields")
_LOGFMT = re.compile(r'^(?=.*\blevel=(?P<level>\w+)).*\bmsg="(?P<message>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class StrippedLine:
    """A line without its prefix. `source` is the container or pod, `level` the level that the collector states."""

    text: str
    source: str = ""
    level: str = ""


class PrefixStripper:
    """Strip prefixes, and learn unlisted ones line by line."""

    prefixes_have_levels = False  # such a level is the collector's and tells nothing about vLLM's own level

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._learned: list[re.Pattern[str]] = []

    def strip(self, raw: str) -> Iterator[StrippedLine]:
        """Yield the lines that one line of a file contains; none if it is only a timestamp."""
        for level, part in _split(raw.rstrip()):
            plain = _without_markup(_ANSI.sub("", part[:MAX_LENGTH]))
            collector = _COLLECTOR_PREFIX.match(plain)
            source = (collector["container"] or collector["pod"] or "") if collector else ""
            name, text = self._strip_unlisted(plain[collector.end() :] if collector else plain)
            if text.strip() or not plain.strip():
                yield StrippedLine(text.removesuffix("\\n"), source or name, level)

    def _strip_unlisted(self, text: str) -> tuple[str, str]:
        """Return the name that an unlisted prefix contains, and the text after the prefix."""
        if vllm := _VLLM_PREFIX.search(text, 0, _MAX_PREFIX):
            return self._count(text[: vllm.start()]), text[vllm.start() :]
        if traceback := _PREFIXED_TRACEBACK.match(text, 0, _MAX_PREFIX):
            return self._count(traceback["prefix"], 2), text[traceback.end("prefix") :]
        for pattern in self._learned:
            if match := pattern.match(text):
                return _name_in(match[0]), text[match.end() :]
        return "", text

    def _count(self, prefix: str, weight: int = 1) -> str:
        pattern = _pattern_for(prefix)
        if prefix and (pattern in self._counts or len(self._counts) < _MAX_PATTERNS):
            self._counts[pattern] += weight
            if self._counts[pattern] > 1 and pattern not in (known.pattern for known in self._learned):
                self._learned.append(re.compile(pattern))
                self.prefixes_have_levels |= _LEVEL_WORD.search(prefix) is not None
        return _name_in(prefix)


def _without_markup(text: str) -> str:
    """Remove the HTML that terminals put around coloured text when it is copied."""
    if not _COLOUR_TAG.search(text) and "&quot;" not in text:
        return text
    return html.unescape(_TAG.sub("", text))


def _pattern_for(prefix: str) -> str:
    """Return a pattern for all prefixes that differ from this one only in numbers and levels."""
    escaped = re.sub(r"\d+", r"\\d+", re.escape(prefix))
    return _LEVEL_WORD.sub(r"\\w+", escaped)


def _name_in(prefix: str) -> str:
    """Return the words of a prefix that name its writer: no times, no levels."""
    words = (word for word in prefix.split() if re.search("[A-Za-z]", word) and not re.match(r"\W*\d", word))
    return " ".join(word for word in words if word.strip("[]:-").lower() not in ("info", "error", "warning"))


def _split(raw: str) -> list[tuple[str, str]]:
    """Split one line into its lines with their levels: fields of JSON or logfmt, or lines pasted together."""
    parts = _json_lines(raw) if raw.startswith("{") else []
    if raw.startswith(("time=", "ts=", "level=")) and (logfmt := _LOGFMT.match(raw)):
        message = logfmt["message"].replace('\\"', '"').replace("\\n", "\n")
        parts = [(_level(logfmt["level"]), line) for line in message.splitlines()]
    return [(level, line) for level, text in parts or [("", raw)] for line in _split_pasted(text)]


def _split_pasted(text: str) -> list[str]:
    """Split text in which several lines were copied into one."""
    if "^M" in text:
        return _CARRIAGE_RETURN.split(text)
    if len(text) < _MAX_PREFIX or not _VLLM_LINE_START.search(text, 0, 10 * _MAX_PREFIX):
        return [text]
    cuts = [start.start() for start in _VLLM_LINE_START.finditer(text)][1:]
    return [text[a:b].rstrip() for a, b in zip([0, *cuts], [*cuts, None], strict=True)]


def _json_lines(raw: str) -> list[tuple[str, str]]:
    """Return the message of a JSON record, followed by its traceback field if it has one."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    if not isinstance(record, dict):
        return []
    nested: Mapping[str, Any] = next((v for k in _NESTED_KEYS if isinstance(v := record.get(k), dict)), {})
    record = {**record, **nested}
    text = "\n".join(_first_string(record, keys) for keys in (_MESSAGE_KEYS, _TRACEBACK_KEYS))
    return [(_level(_first_string(record, _LEVEL_KEYS)), line) for line in text.rstrip("\n").splitlines()]


def _first_string(record: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := record.get(key), str) and value), "")


def _level(name: str) -> str:
    return {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(name.upper(), name.upper())
