"""Parse a builder's plain output as it arrives: the running step, its last line, the seconds of each step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_NAME = re.compile(r"^#(\d+) (\[.+|(?:exporting|importing) (?!.* done$).+)$")
_DONE = re.compile(r"^#(\d+) (?:DONE (\d+(?:\.\d+)?)s|(CACHED))$")
_TEXT = re.compile(r"^#(\d+) (?:\d+\.\d+ )?(.+)$")
_BYTES = re.compile(r"^sha256:\S+ (\S+ / \S+)(?: \S+)?$")
_MOUNT = re.compile(r" --(?:mount|network|security)=\S+")
_COUNT = re.compile(r"\[(?:\S+ )?(\d+)/(\d+)\]")
_TAIL_LINES = 40


@dataclass
class Steps:
    """The steps seen so far. `seconds` maps a step to its duration; a cached step took 0."""

    names: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    tail: list[str] = field(default_factory=list)
    done: int = 0
    total: int | None = None

    def read(self, line: str) -> str:
        """Take one line; return the text to show for it, or ""."""
        line = line.rstrip()
        self.tail = [*self.tail[1 - _TAIL_LINES :], line]
        if match := _DONE.match(line):
            return self._end(match.group(1), float(match.group(2) or 0))
        if match := _NAME.match(line):
            return self._begin(match.group(1), match.group(2))
        if match := _TEXT.match(line):
            return _note(self.names.get(match.group(1), ""), match.group(2))
        return ""

    def _begin(self, number: str, name: str) -> str:
        name = self.names[number] = short(name)
        if match := _COUNT.search(name):
            self.done, self.total = int(match.group(1)) - 1, int(match.group(2)) + 1
        return name

    def _end(self, number: str, seconds: float) -> str:
        name = self.names.get(number, "")
        if name:
            self.seconds[name] = seconds
        if match := _COUNT.search(name):
            self.done = max(self.done, int(match.group(1)))
        return name


def _note(step: str, text: str) -> str:
    """Return a step's output line; for a download only its bytes."""
    if text.startswith("sha256:"):
        match = _BYTES.match(text)
        text = match.group(1) if match else ""
    return f"{step}: {text}" if step and text else ""


def short(name: str) -> str:
    """Return a step's name without its mounts, at most 60 characters: `[4/6] RUN bash /run/install.sh`."""
    plain = " ".join(_MOUNT.sub("", name).split())
    return plain if len(plain) <= 60 else plain[:59] + "…"


def follow(lines: Iterable[str], show: Callable[[float, float | None, str], None]) -> Steps:
    """Read all lines; call `show(done, total, note)` for each line with something to show."""
    steps = Steps()
    for line in lines:
        if note := steps.read(line):
            show(steps.done, steps.total, note[:100])
    return steps
