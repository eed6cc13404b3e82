"""Type commands on a simulated host as a user does, and keep what the terminal shows: for tests and for the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT
from tests.hosts.simulated_host import SimulatedHost

PAGE = ROOT / "docs" / "explanation" / "simulated-hosts.md"
WIDTH = 118


@dataclass
class Terminal:
    """A terminal on a host: the commands that were typed, each with its output."""

    host: SimulatedHost
    lines: list[str] = field(default_factory=list)

    def type(self, line: str) -> str:
        """Run a line in a shell, and return what it prints. Raises AssertionError if it fails."""
        done = self.host.run("sh", "-c", f"exec 2>&1; {line}")
        assert done.code == 0, done.out
        self.lines += [f"$ {line}", *done.out.splitlines()]
        return done.out

    def text(self) -> str:
        """Return the whole text without the names of temporary folders, long lines shortened."""
        home = str(self.host.folder / "home")
        short = [line.rstrip().replace(home, "~") for line in self.lines]
        return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in short)


def block(page: str, heading: str) -> str:
    """Return the first console block below a heading of a page."""
    match = _pattern(heading).search(page)
    assert match, f"{PAGE.name} has no console block below '{heading}'"
    return match[2]


def write_block(file: Path, heading: str, text: str) -> None:
    """Replace the first console block below a heading of a page."""
    page = file.read_text()
    file.write_text(_pattern(heading).sub(lambda match: f"{match[1]}{text}{match[3]}", page, count=1))


def _pattern(heading: str) -> re.Pattern[str]:
    return re.compile(rf"(^## {re.escape(heading)}$.*?^```console\n)(.*?)(\n```$)", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Return the commands in a transcript."""
    return [line for line in text.splitlines() if line.startswith("$ ")]
