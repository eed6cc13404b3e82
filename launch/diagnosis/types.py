"""Input and result of a diagnosis, and the tracebacks in between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

_LOOKUP_ERROR = re.compile(r"(?:ModuleNotFound|Import|Key|Index|Attribute)Error\b|StopIteration\b")


@dataclass(frozen=True)
class DiagnosisInput:
    """What a failed server left behind.

    `lines` is iterated once and never stored, so a generator over a log of any size works. `exit_code` is None
    while the container runs, or if only its log is available. `engine_error` is the message of the container
    engine if it could not create or start the container.
    """

    lines: Iterable[str] = ()
    exit_code: int | None = None
    oom_killed: bool = False
    engine_error: str = ""


class Outcome(StrEnum):
    """What a log shows: a failure with or without a rule, none, a start that goes on, or another program."""

    NAMED = "named"
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    WAITING = "waiting"
    FOREIGN = "foreign"


class Confidence(StrEnum):
    """How surely the evidence shows the cause."""

    HIGH = "high"  # a specific rule matches the exception that ended the server
    MEDIUM = "medium"  # a family of failures, or a line outside of the traceback
    LOW = "low"  # only a consequence or the exit code, or two rules match equally well


@dataclass(frozen=True)
class Diagnosis:
    """The cause of a failure, the log lines that show it (`evidence`), and the fix.

    `change` is a plan change for `launch/diagnosis/apply_fix.py`, or None if no change of the plan helps:
    `{"set": {flag: value}}`, `{"unset": [flag]}`, `{"env": {name: value}}`, `{"port": true}` (another port),
    `{"shm": bytes}`, `{"lower": {flag: step}}`; keys can be combined. `safe` allows the change to be applied
    without asking. `known` is False if no rule matched; `first_exception` then quotes the log, and `warnings` are
    the last warnings of native libraries above it. `alternatives` are other causes that the same lines show as well.
    """

    cause_id: str
    cause: str
    evidence: tuple[str, ...] = ()
    fix: str = ""
    change: dict[str, Any] | None = None
    safe: bool = False
    known: bool = False
    first_exception: str = ""
    source: str = ""
    outcome: Outcome = Outcome.UNKNOWN
    confidence: Confidence | None = None
    alternatives: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


class Severity(IntEnum):
    """How surely a traceback tells why the server ended."""

    FATAL = 0
    LOGGED = 1
    HANDLED = 2


@dataclass
class RaisedException:
    """One exception: `lines` as printed, starting with `Type: message`; `frames` are `path/file.function`.

    `caught` is True if another exception was raised while this one was handled; the two may be unrelated.
    `process` identifies the process that printed it.
    """

    number: int
    process_name: str
    lines: list[str]
    frames: list[str] = field(default_factory=list)
    caught: bool = False
    process: str = ""

    @property
    def summary(self) -> str:
        """The first line, or the first three if the message starts on the second."""
        first = self.lines[0]
        return " ".join(" ".join(self.lines[:3]).split()) if _lacks_message(first) else first

    @property
    def was_lookup(self) -> bool:
        """Whether the program handled it as the answer to a lookup (an optional module, a missing key)."""
        return self.caught and _LOOKUP_ERROR.match(self.lines[0]) is not None

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join(self.lines)


def _lacks_message(line: str) -> bool:
    """Whether the message is on the next lines (pydantic's `1 validation error for ...`, a bare `assert`)."""
    return (
        line.endswith(("Error:", "Exception:", "Error", "Exception"))
        or re.search(r"\d+ validation errors? for \w+$", line) is not None
    )


@dataclass
class Traceback:
    """The chained exceptions of one traceback, root first. `source` is the container or pod.

    `phase` is the phase that the server had reached, by its milestones, when the traceback started.
    """

    source: str
    severity: Severity
    exceptions: list[RaisedException] = field(default_factory=list)
    phase: str = ""

    @property
    def root(self) -> RaisedException:
        """The exception from which the others follow."""
        return self.exceptions[0]
