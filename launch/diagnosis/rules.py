"""The rows of rules.yaml: which words mean which cause, and what cures it."""

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

TABLE = Path(__file__).with_name("rules.yaml")

_BLANK = re.compile(r"<(\w+)>")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
Pattern = Annotated[re.Pattern[str], PlainValidator(re.compile)]
Wording = Annotated[
    re.Pattern[str], PlainValidator(lambda text: re.compile(text, re.IGNORECASE | re.MULTILINE))
]


@dataclass(frozen=True)
class Symptom:
    """One row. `broad` rows speak where no narrow one does; `warnings` lets a warning prove it.

    `frames` must occur in a `file.function` of the traceback, `unless` must not occur in the words.
    """

    id: str
    cause: str
    fix: str
    source: str
    patterns: tuple[Wording, ...] = ()
    change: Mapping[str, Any] | None = None
    safe: bool = False
    broad: bool = False
    warnings: bool = False
    frames: Pattern | None = None
    unless: Pattern | None = None

    def match(self, text: str, frames: Iterable[str] = ()) -> re.Match[str] | None:
        """The first pattern that fits the words, where the rest of the row allows it."""
        if self.frames and not any(self.frames.search(name) for name in frames):
            return None
        if self.unless and self.unless.search(text):
            return None
        return next((match for pattern in self.patterns if (match := pattern.search(text))), None)


@dataclass(frozen=True)
class LogPattern:
    """A wording of the log, and where it was seen."""

    pattern: Pattern
    source: str


@dataclass(frozen=True)
class Table:
    """All that rules.yaml says. `signals` and `exits` are keyed by their number."""

    symptoms: tuple[Symptom, ...]
    consequences: tuple[LogPattern, ...]
    survived: tuple[LogPattern, ...]
    signals: Mapping[int, Symptom]
    exits: Mapping[int, Symptom]
    oom_killed: Symptom
    silence: Symptom

    def is_consequence(self, text: str) -> bool:
        """Whether the words only report that something else failed."""
        return any(row.pattern.search(text) for row in self.consequences)

    def is_survived(self, text: str) -> bool:
        """Whether a server that says so goes on all the same."""
        return any(row.pattern.search(text) for row in self.survived)


@cache
def table(path: Path = TABLE) -> Table:
    """Return the rules. Raises Failed with the row and field of an error."""
    return load(path, Table)


def captured(match: re.Match[str] | None) -> dict[str, str]:
    """The named parts of a match, and what follows from them."""
    parts = match.groupdict() if match else {}
    found = {name: " ".join(text.split()) for name, text in parts.items() if text}
    return {**found, **_derived(found)}


def _derived(found: Mapping[str, str]) -> dict[str, str]:
    derived = {}
    if {"given", "choices"} <= found.keys():
        derived["nearest"] = _nearest(found["given"], re.findall(r"[\w.-]+", found["choices"]))
    if "kind" in found:
        derived["kind"] = found["kind"].lower()
        derived["parser"] = f"--{'reasoning' if derived['kind'] == 'reasoning' else 'tool-call'}-parser"
    if {"free", "total"} <= found.keys() and float(found["total"]) > 0:
        share = int(100 * float(found["free"]) / float(found["total"])) / 100
        derived |= {"utilization": f"{share:.2f}"} if share > 0 else {}
    if {"heads", "tp"} <= found.keys():
        heads, tp = int(found["heads"]), int(found["tp"])
        legal = [size for size in range(1, min(heads, tp) + 1) if heads % size == 0]
        derived |= {"legal": str(legal[-1])} if legal else {}
    return derived


def _nearest(given: str, choices: list[str]) -> str:
    near = get_close_matches(given, choices, n=3, cutoff=0.5)
    return "nearest: " + ", ".join(near) if near else f"the line above names all {len(choices)}"


def filled(text: str, found: Mapping[str, str]) -> str:
    """`<name>` replaced by what the log said, by NAME where it did not say."""
    return _BLANK.sub(lambda match: found.get(match[1], match[1].upper()), text)


def told(cause: str, found: Mapping[str, str]) -> str:
    """The cause, without the parts in brackets whose blanks the log does not fill."""
    said = _OPTIONAL.sub(lambda part: part[1] if found.keys() >= set(_BLANK.findall(part[1])) else "", cause)
    return filled(said, found)


def change_of(symptom: Symptom, found: Mapping[str, str]) -> dict[str, Any] | None:
    """The plan change with its numbers, or None where the log does not give one of them."""
    if symptom.change is None or any(name not in found for name in _BLANK.findall(str(symptom.change))):
        return None
    return {key: _filled_value(value, found) for key, value in symptom.change.items()}


def _filled_value(value: Any, found: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_value(inner, found) for key, inner in value.items()}
    return filled(value, found) if isinstance(value, str) else value
