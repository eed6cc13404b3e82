"""The rules in rules/*.yaml: which message, under which conditions, means which cause, and what fixes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from launch.checked_data.data_file import load
from launch.diagnosis.literals import Required, required
from launch.diagnosis.rule_index import RuleIndex

RULES = Path(__file__).with_name("rules")

PhaseName = Literal["start", "load", "compile", "profile", "capture", "warmup", "serving"]


@dataclass(frozen=True)
class Rule:
    """One row: patterns, the conditions under which they count, and the answer. rules/README.md explains each key.

    `when` and `when_not` map a fact of the log (`launch/diagnosis/facts.py`) to a regular expression.
    """

    id: str
    cause: str
    fix: str
    source: str
    patterns: tuple[str, ...] = ()
    change: Mapping[str, Any] | None = None
    safe: bool = False
    family: bool = False
    warnings: bool = False
    plain: bool = False
    exceptions_only: bool = False
    explains: str = ""
    frames: str = ""
    raised_in: str = ""
    unless: str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    when_not: Mapping[str, str] = field(default_factory=dict)
    phases: tuple[PhaseName, ...] = ()
    vllm: str = ""
    exceeds: Mapping[str, str] = field(default_factory=dict)
    gives_way: bool = False
    yields_to: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The patterns, for the index."""
        return self.patterns

    @cached_property
    def conditions(self) -> int:
        """How many conditions must hold: a row with more of them is more specific."""
        stated = (self.frames, self.raised_in, self.phases, self.exceeds, self.vllm)
        return sum(map(bool, stated)) + len(self.when)

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of the pattern with the most literal text, unless `unless` occurs."""
        if self.unless and compiled(self.unless).search(text):
            return None
        lower = text.lower()
        possible = (pattern for pattern in self.patterns if may_match(pattern, lower))
        matches = (match for pattern in possible if (match := compiled(pattern).search(text)))
        return max(matches, key=lambda match: weight(match.re.pattern), default=None)


@dataclass(frozen=True)
class LogPattern:
    """A pattern of log lines, and where they were observed."""

    pattern: str
    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        """The pattern, for the index."""
        return (self.pattern,)

    def occurs(self, text: str) -> bool:
        """Whether the text contains it."""
        return exact(self.pattern).search(text) is not None


@dataclass(frozen=True)
class Wait:
    """A line of a start that waits: for what, and what to check if it waits too long.

    A `general` one counts only if no other line tells what the start does. A later line with `over` ends the wait.
    """

    pattern: str
    waits_for: str
    fix: str
    source: str
    general: bool = False
    over: str = ""


@dataclass(frozen=True)
class Ends:
    """The contents of ends.yaml: what lines without a cause of their own tell about the end of a process.

    The keys of `signals` and `exits` are signal numbers and exit codes. `ended` are lines after which a server
    that had answered requests no longer runs; `client_errors` are failures of requests that the client caused.
    """

    consequences: tuple[LogPattern, ...]
    non_fatal: tuple[LogPattern, ...]
    ended: tuple[LogPattern, ...]
    client_errors: tuple[LogPattern, ...]
    waits: tuple[Wait, ...]
    vllm_marks: tuple[LogPattern, ...]
    foreign_marks: tuple[LogPattern, ...]
    signals: Mapping[int, Rule]
    exits: Mapping[int, Rule]
    oom_killed: Rule
    silent_end: Rule
    unscheduled: Rule


@dataclass(frozen=True)
class Rules:
    """All rules, and what else is known about lines and ends."""

    rules: tuple[Rule, ...]
    ends: Ends

    @cached_property
    def index(self) -> RuleIndex[Rule]:
        """The rules by the literal text that they need."""
        return RuleIndex(self.rules)

    @cached_property
    def _consequences(self) -> RuleIndex[LogPattern]:
        return RuleIndex(self.ends.consequences)

    @cached_property
    def _non_fatal(self) -> RuleIndex[LogPattern]:
        return RuleIndex(self.ends.non_fatal)

    def is_consequence(self, text: str) -> bool:
        """Whether the text only reports that something else failed."""
        return any(row.occurs(text) for row in self._consequences.candidates(text))

    def is_non_fatal(self, text: str) -> bool:
        """Whether a server that logs the text goes on all the same."""
        return any(row.occurs(text) for row in self._non_fatal.candidates(text))

    def is_client_error(self, text: str) -> bool:
        """Whether the text reports that a client's request, or its connection, was at fault."""
        return any(row.occurs(text) for row in self.ends.client_errors)

    def ends_server(self, text: str) -> bool:
        """Whether the text reports that the server ended."""
        return any(row.occurs(text) for row in self.ends.ended)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a rule: case is ignored, and ^ and $ match at every line."""
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


@cache
def exact(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which case counts."""
    return re.compile(pattern)


def may_match(pattern: str, lower: str) -> bool:
    """Whether a text in lower case has the literal text that a match needs; this is far cheaper than a search."""
    runs = _required(pattern).runs
    return not runs or any(run in lower for run in runs)


@cache
def _required(pattern: str) -> Required:
    return required(pattern)


def weight(pattern: str) -> int:
    """Return how many characters of a match the pattern states literally."""
    return _required(pattern).weight


@cache
def load_rules(folder: Path = RULES, extra: Path | None = None) -> Rules:
    """Read the rules once; `extra` adds a user's table. Raises Failed with the row and field of an error."""
    files = (*sorted(path for path in folder.glob("*.yaml") if path.name != "ends.yaml"),)
    tables = [load(path, tuple[Rule, ...]) for path in (*files, *((extra,) if extra else ()))]
    return Rules(tuple(rule for table in tables for rule in table), load(folder / "ends.yaml", Ends))
