"""A traceback as data: the chain of exceptions of one process, and how much it matters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum

MESSAGE_LINES = 40  # lines of a message that are kept; NCCL and compiler errors are long

EXCEPTION = re.compile(
    r"^(?P<type>(?:\w+\.)*(?:[A-Z]\w*|\w*(?:[Ee]rror|[Ee]xception|[Tt]imeout)))(?::(?=\s|$)|$)(?P<rest>.*)$",
    re.DOTALL,
)
FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line \d+(?:, in (?P<name>\S+))?')


_PROBES = re.compile(r"(?:ModuleNotFound|Import|Key|Index|Attribute)Error\b|StopIteration\b")


class Weight(IntEnum):
    """How surely a traceback is about the end of the server."""

    FATAL = 0
    LOGGED = 1
    HANDLED = 2


@dataclass
class Raised:
    """One exception: `lines` as printed, the first of them `Type: words`; `frames` are `file.function`.

    `caught` says that another one was raised while it was handled, which may have nothing to do with it.
    """

    number: int
    who: str
    lines: list[str]
    frames: list[str] = field(default_factory=list)
    caught: bool = False

    @property
    def head(self) -> str:
        """The exception as Python prints it, without the rest of a long message."""
        first = self.lines[0]
        return " ".join(" ".join(self.lines[:3]).split()) if _bare(first) else first

    @property
    def probe(self) -> bool:
        """Whether it was but a question (is this module, this key there?) that the program answered itself."""
        return self.caught and _PROBES.match(self.lines[0]) is not None

    @property
    def text(self) -> str:
        """The whole message."""
        return "\n".join(self.lines)


@dataclass
class Failure:
    """The exceptions of one chained traceback, the root one first."""

    box: str
    weight: Weight
    chain: list[Raised] = field(default_factory=list)

    @property
    def root(self) -> Raised:
        """What the others came from."""
        return self.chain[0]


def _bare(line: str) -> bool:
    """Whether all is said in the further lines (pydantic's `1 validation error for ...`, a bare `assert`)."""
    return (
        line.endswith(("Error:", "Exception:", "Error", "Exception"))
        or re.search(r"\d+ validation errors? for \w+$", line) is not None
    )
