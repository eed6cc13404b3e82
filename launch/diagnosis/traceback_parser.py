"""A traceback that is still being printed: its frames, its exceptions one after the other, strangers in between."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from launch.diagnosis.log_line import Record
from launch.diagnosis.traceback_model import EXCEPTION, FRAME, MESSAGE_LINES, Failure, Raised, Weight

CHAINED = re.compile(
    r"(?P<caught>During handling of the above exception)|"
    r"above exception was the direct cause of the following exception"
)
_NOT_MESSAGE = re.compile(
    r"^Process \S+:$|resource_tracker|^\s*warnings\.warn|^Exception (?:ignored )?in\b|"
    r"checkpoint shards:|^frame #\d+|^\S+ exited with code \d+"
)
_FRAMES = 40  # the innermost ones that are kept


@dataclass
class Opened:
    """One writer's traceback. `pending` counts those of other processes that began in its middle."""

    failure: Failure
    first: Record
    pending: int = 0
    frames: list[str] = field(default_factory=list)
    code: str = ""
    raised: Raised | None = None
    chained: bool = False
    strange: int = 0

    def again(self) -> None:
        """The next traceback of the chain begins."""
        self.chained, self.raised, self.frames, self.code = False, None, [], ""

    def chain(self, caught: bool) -> None:
        """The words that link two exceptions."""
        self.chained = True
        if self.raised:
            self.raised.caught = caught

    def frame(self, text: str) -> bool:
        """Take a line of the stack; False where it is none."""
        if frame := FRAME.match(text):
            self.frames = [*self.frames[-_FRAMES:], f"{_stem(frame['file'])}.{frame['name'] or ''}"]
        elif text.strip() and not text.startswith((" ", "\t")):
            return False
        elif re.search(r"\w", text):
            self.code = text.strip()
        return True

    def raise_(self, record: Record) -> None:
        """The exception itself; where it says nothing, with the line that raised it."""
        lines = [record.text.rstrip()]
        if ":" not in lines[0] and self.code:
            lines.append(f"    {self.code}")
        self.raised = Raised(record.number, record.who, lines, self.frames)
        self.failure.chain.append(self.raised)

    def others(self, record: Record) -> bool:
        """Whether this exception ends the traceback of another process, mixed into this one."""
        return self.pending > 0 and EXCEPTION.match(record.text) is not None

    def strangers(self, record: Record) -> bool:
        """Count words that are no part of the stack; True where there are too many."""
        self.strange += not record.logged
        return self.strange > MESSAGE_LINES

    def message(self, record: Record) -> bool:
        """Take a further line of the message; False where the message is over."""
        foreign = _NOT_MESSAGE.search(record.text) or record.level != self.first.level
        if self.raised is None or foreign or len(self.raised.lines) > MESSAGE_LINES:
            return False
        self.raised.lines.append(record.text.rstrip())
        return True

    @property
    def cut(self) -> str:
        """Where it stands, as long as its exception has not come."""
        handled = self.failure.weight is Weight.HANDLED
        return f"{self.frames[-1]}: {self.code}" if self.frames and not (self.raised or handled) else ""


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".py")
