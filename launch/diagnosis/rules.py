"""The rules of rules.yaml: which message means which cause, and what fixes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator

from launch.data_file import load

RULES = Path(__file__).with_name("rules.yaml")

_PLACEHOLDER = re.compile(r"<(\w+)>")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
Pattern = Annotated[re.Pattern[str], PlainValidator(re.compile)]
MessagePattern = Annotated[
    re.Pattern[str], PlainValidator(lambda text: re.compile(text, re.IGNORECASE | re.MULTILINE))
]


@dataclass(frozen=True)
class Rule:
    """One row. `broad` rules are tried after all narrow ones; `warnings` lets a warning match.

    `frames` must occur in a `file.function` of the traceback; `unless` must not occur in the message.
    """

    id: str
    cause: str
    fix: str
    source: str
    patterns: tuple[MessagePattern, ...] = ()
    change: Mapping[str, Any] | None = None
    safe: bool = False
    broad: bool = False
    warnings: bool = False
    frames: Pattern | None = None
    unless: Pattern | None = None

    def match(self, text: str, frames: Iterable[str] = ()) -> re.Match[str] | None:
        """Return the match of the first pattern that occurs in the text, if frames and `unless` allow it."""
        if self.frames and not any(self.frames.search(frame) for frame in frames):
            return None
        if self.unless and self.unless.search(text):
            return None
        return next((match for pattern in self.patterns if (match := pattern.search(text))), None)


@dataclass(frozen=True)
class LogPattern:
    """A pattern of log lines, and where they were observed."""

    pattern: Pattern
    source: str


@dataclass(frozen=True)
class Rules:
    """The contents of rules.yaml. The keys of `signals` and `exits` are signal numbers and exit codes."""

    rules: tuple[Rule, ...]
    consequences: tuple[LogPattern, ...]
    non_fatal: tuple[LogPattern, ...]
    signals: Mapping[int, Rule]
    exits: Mapping[int, Rule]
    oom_killed: Rule
    silent_end: Rule

    def is_consequence(self, text: str) -> bool:
        """Whether the text only reports that something else failed."""
        return any(row.pattern.search(text) for row in self.consequences)

    def is_non_fatal(self, text: str) -> bool:
        """Whether a server that logs the text goes on all the same."""
        return any(row.pattern.search(text) for row in self.non_fatal)


@cache
def load_rules(path: Path = RULES) -> Rules:
    """Read the rules once. Raises Failed with the row and field of an error."""
    return load(path, Rules)


def captured_values(match: re.Match[str] | None) -> dict[str, str]:
    """Return the named groups of a match, and the values derived from them."""
    groups = match.groupdict() if match else {}
    values = {name: " ".join(text.split()) for name, text in groups.items() if text}
    return {**values, **_derived_values(values)}


def _derived_values(values: Mapping[str, str]) -> dict[str, str]:
    derived = {}
    if {"given", "choices"} <= values.keys():
        derived["nearest"] = _nearest(values["given"], re.findall(r"[\w.-]+", values["choices"]))
    if "kind" in values:
        derived["kind"] = values["kind"].lower()
        derived["parser"] = f"--{'reasoning' if derived['kind'] == 'reasoning' else 'tool-call'}-parser"
    if {"free", "total"} <= values.keys() and float(values["total"]) > 0:
        share = int(100 * float(values["free"]) / float(values["total"])) / 100
        derived |= {"utilization": f"{share:.2f}"} if share > 0 else {}
    if {"heads", "tp"} <= values.keys():
        heads, tp = int(values["heads"]), int(values["tp"])
        divisors = [size for size in range(1, min(heads, tp) + 1) if heads % size == 0]
        derived |= {"divisor": str(divisors[-1])} if divisors else {}
    return derived


def _nearest(given: str, choices: list[str]) -> str:
    near = get_close_matches(given, choices, n=3, cutoff=0.5)
    return "nearest: " + ", ".join(near) if near else f"the line above lists all {len(choices)} choices"


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace `<name>` by its value, or by NAME if the log does not give one."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[1].upper()), text)


def fill_cause(cause: str, values: Mapping[str, str]) -> str:
    """Fill a cause, without the parts in brackets for which the log gives no value."""

    def keep(part: re.Match[str]) -> str:
        return part[1] if values.keys() >= set(_PLACEHOLDER.findall(part[1])) else ""

    return fill(_OPTIONAL.sub(keep, cause), values)


def fill_change(rule: Rule, values: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the plan change with its values, or None if the log does not give one of them."""
    names = _PLACEHOLDER.findall(str(rule.change))
    if rule.change is None or any(name not in values for name in names):
        return None
    return {key: _fill_nested(value, values) for key, value in rule.change.items()}


def _fill_nested(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill_nested(inner, values) for key, inner in value.items()}
    return fill(value, values) if isinstance(value, str) else value
