"""Parse one line of a vLLM log: process, level, logging call and text.

After `log_prefixes` a line can still start with the process (`(Worker_TP0 pid=24)`, `[rank1]:`) and with vLLM's
own logging prefix, `ERROR 11-23 02:58:24 [core.py:1510]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.diagnosis.log_prefixes import StrippedLine

_PROCESS = re.compile(r"^\((?P<name>[^()\s,]+),?\s(?:[\w=]+\s)?pid=(?P<pid>\d+)(?:, ip=[^)]+)?\)\s?")
_RANK = re.compile(r"^\[rank(?P<rank>\d+)\]:\s?(?=\S|\s\s|$)")
_DATE = r"(?:\d{4}-)?\d\d-\d\d\s\d\d:\d\d:\d\d(?:[.,]\d+)?"
_VLLM_LEVEL = re.compile(
    rf"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+(?:{_DATE}\s+)?\[?(?P<location>[\w./<>-]+:\d+)\]\s?"
)
_DATED_LEVEL = re.compile(
    rf"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+{_DATE}\s?"
)  # copied without the call
_PLAIN_LEVEL = re.compile(r"^(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):\s{1,5}")
_GLOG_LEVEL = re.compile(r"^\[?(?P<letter>[IWEF])\d{3,4} [\d:.]+\s.*?\]\s?")
# [2026-01-06 01:49:41,730 E 1 1] (raylet) text, of which the time is stripped already
_RAY_LEVEL = re.compile(r"^(?P<letter>[IWEF]) \d+ \d+\]\s(?:\(\w+\)\s)?")
# Libraries that write the level after a prefix of their own.
_LIBRARY_LEVEL = re.compile(
    r"^(?:"
    r"\S+:\d+:\d+ \[\d+\] .{0,80}?\b[NR]CCL |"  # host:1:1 [0] misc/ibvwrap.cc:206 NCCL WARN
    r"\[\d+\.\d+\]\s+\[[^\]]*\]\s.{0,60}?\bUCX\s+|"  # [1763.02] [host:196 :0] ib_md.c:312 UCX WARN
    r"(?:- )?[\w.]{2,40} - |"  # Python's usual format: name - ERROR - text
    r"\w{2,20} |"  # LMCache ERROR: text
    r"\[?)(?P<level>WARN(?:ING)?|ERROR|FATAL|CRITICAL)(?=[\s:\]])"
)
_KUBERNETES_EVENT = re.compile(r"^\s*(?:[\w-]+\s+)?(?:\d+[smhd]\S*\s+)?Warning\s+[A-Z]\w+\s")
_PYTHON_WARNING = re.compile(r"^\S+\.py:\d+: \w*Warning: ")
_EXCEPTION_GROUP = re.compile(r"^\s+(?:\|\s|\+ (?=Exception Group)|\+-)")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LIBRARY_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_GLOG_LETTERS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}


@dataclass(frozen=True)
class LogLine:
    """One parsed line. `process` identifies the writer, `process_name` is the name to show for it.

    `level` is "" for output that did not go through a logger. `location` is the logging call, `core.py:1510`.
    `source` is the container or pod if the collector names it.
    """

    number: int
    process: str
    process_name: str
    level: str
    location: str
    text: str
    source: str = ""

    @property
    def writer(self) -> tuple[str, str]:
        """What all lines of one traceback share: the process and the logging call."""
        return self.process, self.location

    @property
    def from_vllm_logger(self) -> bool:
        """Whether vLLM's own logger wrote the line, not a library that prints."""
        return ".py:" in self.location or self.location == "vllm"


def parse_line(line: StrippedLine, number: int = 0) -> LogLine:
    """Parse one line. Never raises."""
    name, process, text = _parse_process(line.text)
    level, location, text = _parse_level(text)
    if (group := _EXCEPTION_GROUP.match(text)) and not level:
        text = text[group.end() :]
    if not level and line.level in _LEVELS:
        level = line.level
    return LogLine(number, f"{line.source}{process}", name, level, location, text, line.source)


def _parse_process(text: str) -> tuple[str, str, str]:
    """Return name, process id and the remaining text. The innermost of nested prefixes (Ray) counts."""
    name = pid = ""
    while match := _PROCESS.match(text):
        name, pid, text = match["name"], match["pid"], text[match.end() :]
    if match := _RANK.match(text):
        text = text[match.end() :]
        name, pid = name or f"rank{match['rank']}", pid or f"rank{match['rank']}"
    return name, pid, text


def _parse_level(text: str) -> tuple[str, str, str]:
    """Return level, logging call and the remaining text."""
    if match := _VLLM_LEVEL.match(text):
        return match["level"], match["location"], text[match.end() :]
    if match := _DATED_LEVEL.match(text):
        return match["level"], "vllm", text[match.end() :]
    if match := _PLAIN_LEVEL.match(text):
        return match["level"], "", text[match.end() :]
    return _parse_library_level(text)


def _parse_library_level(text: str) -> tuple[str, str, str]:
    """Return the same for a line that vLLM's logger did not write."""
    for glog in (_GLOG_LEVEL, _RAY_LEVEL):
        if match := glog.match(text):
            return _GLOG_LETTERS[match["letter"]], "native", text[match.end() :]
    if _PYTHON_WARNING.match(text):
        return "WARNING", "warnings", text
    if match := _LIBRARY_LEVEL.match(text):
        return _LIBRARY_LEVELS.get(match["level"], match["level"]), "native", text
    return ("WARNING", "kubernetes", text) if _KUBERNETES_EVENT.match(text) else ("", "", text)
