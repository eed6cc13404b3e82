"""Which lines report a problem, and which only inform: only the first can be evidence by themselves."""

from __future__ import annotations

import re
from enum import IntEnum

from launch.diagnosis.log_line import LogLine


class Voice(IntEnum):
    """How much a line complains."""

    PLAIN = 0  # a notice, a banner, the output of a script
    WARNING = 1
    ERROR = 2


# An exception that is printed without its traceback: `ray.exceptions.ActorDiedError: ...`.
_EXCEPTION = re.compile(
    r"^\W*(?:[\w-]+\[\w+\]\s?)?(?:\w+\.)*(?:[A-Z]\w*)?(?:Error|Exception|error|Exit|Interrupt)\b(?:: |:?$)"
)
# `CUDA Error: ...`, `rocblaslt error: ...`, `CCL_ERROR| ...`, `docker: Error response ...`, `ld: error: ...`.
_ERROR = re.compile(
    r"^\W*(?:\([^()]{1,40}\)\s+)?"
    r"(?:(?:[\w.-]+[ _]){0,2}(?:error|fatal|failure|failed|panic|abort(?:ed)?)(?: error)?\s?[:|!]|"
    r"(?:[\w./-]+ ){0,3}[\w./-]+: (?:\w+ ){0,2}error\b|docker: |Error response from daemon: |what\(\): |"
    r"(?:ERRO|FATA)\[\d+\]|E: )",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"\b(?:errors?|fail(?:ed|ure|s)?|fatal|cannot|can't|unable|denied|refused|abort(?:ed|ing)?|killed|panic|exception|"
    r"crash(?:ed)?|segfault|evicted|timed out|not responding|unreachable|no such|deadlock|corrupt(?:ed)?)\b",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"(?i)(?:fail\w*|errors?)\b[^\n:=]{0,20}[:=]\s*(?:0|none|false)\b|\b(?:0|no) (?:errors|failures)"
)
# What vLLM dumps at level ERROR before it ends: its configuration and the requests.
_DUMP = re.compile(r"^Dumping (?:input data|scheduler output|scheduler stats)|^SchedulerStats\(")
# A command that the user typed: `$ docker inspect ...`, `root@host:~# kubectl ...`.
_TYPED = re.compile(r"^\s*(?:[\w.-]+@[\w.-]+:?\S*)?[$#] +(?!\d)[\w./~-]+(?: |$)")


def is_typed(line: LogLine) -> bool:
    """Whether the line is a command of the user's: it names failures that it looks for."""
    return not line.level and bool(_TYPED.match(line.text))


def voice(line: LogLine) -> Voice:
    """Return how much a line complains, by its level or by its form."""
    if line.level in ("ERROR", "CRITICAL"):
        return Voice.PLAIN if _DUMP.match(line.text) else Voice.ERROR
    if line.level:
        return Voice.WARNING if line.level == "WARNING" else Voice.PLAIN
    formed = _EXCEPTION.match(line.text) or _ERROR.match(line.text)
    return Voice.ERROR if formed else Voice.PLAIN


def sounds_wrong(line: LogLine) -> bool:
    """Whether a line complains by its level, by its form or by a word; a warning of vLLM itself does not."""
    if line.from_vllm_logger or line.level in ("INFO", "DEBUG"):
        return voice(line) is Voice.ERROR
    worded = _WORDS.search(line.text) and not _NONE.search(line.text) and not is_typed(line)
    return bool(worded) or voice(line) is Voice.ERROR


def is_native_warning(line: LogLine) -> bool:
    """Whether a library below Python wrote the line: NCCL, UCX, the dynamic loader through a failed import."""
    return line.location == "native" or "Failed to import from" in line.text
