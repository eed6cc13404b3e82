"""Parse Python tracebacks whose lines may be interleaved with those of other writers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from launch.diagnosis.log_line import LogLine
from launch.diagnosis.types import RaisedException, Severity, Traceback

TRACEBACK_START = "Traceback (most recent call last"

_EXCEPTION = re.compile(
    r"^(?:\w+\.)*(?:[A-Z]\w*|\w*(?:[Ee]rror|[Ee]xception|[Tt]imeout))(?:\(\w+\))?(?::(?=\s|$)|$).*$",
    re.DOTALL,
)
# Ray prints the traceback of its worker below its own exception.
_REMOTE = re.compile(r"^ray\.exceptions\.RayTaskError\(")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]*)", line \d+(?:, in (?P<name>\S+))?')
_INSTALLED = re.compile(r"^.*/(?:site|dist)-packages/|^.*/lib/python3\.\d+/|^.*/(?=vllm/)")
_CHAINED = re.compile(
    r"(?P<caught>During handling of the above exception)|"
    r"above exception was the direct cause of the following exception"
)
_NOT_MESSAGE = re.compile(
    r"^Process \S+:$|resource_tracker|^\s*warnings\.warn|^Exception (?:ignored )?in\b|"
    r"checkpoint shards:|^frame #\d+|^\S+ exited with code \d+"
)
_MAX_MESSAGE = 40  # lines of a message that are kept; NCCL and compiler errors are long
_MAX_FRAMES = 40  # the innermost ones are kept


@dataclass
class _OpenTraceback:
    """A traceback that is being read. `pending` counts those of other processes that started inside it."""

    traceback: Traceback
    first_line: LogLine
    pending: int = 0
    frames: list[str] = field(default_factory=list)
    code: str = ""
    exception: RaisedException | None = None
    expects_next: bool = False
    foreign_lines: int = 0

    def start_next(self) -> None:
        """Start the next traceback of the chain."""
        self.expects_next, self.exception, self.frames, self.code = False, None, [], ""

    def link(self, caught: bool) -> None:
        """Read the sentence that links two exceptions."""
        self.expects_next = True
        if self.exception:
            self.exception.caught = caught

    def read_frame(self, text: str) -> bool:
        """Read a line of the stack. Return False if it is something else."""
        if frame := _FRAME.match(text):
            module = _INSTALLED.sub("", frame["file"]).removesuffix(".py")
            self.frames = [*self.frames[-_MAX_FRAMES:], f"{module}.{frame['name'] or ''}"]
        elif text.strip() and not text.startswith((" ", "\t")):
            return False
        elif re.search(r"\w", text):
            self.code = text.strip()
        return True

    def read_exception(self, line: LogLine) -> None:
        """Read the exception itself; one without a message is shown with the code that raised it."""
        lines = [line.text.rstrip()]
        if ":" not in lines[0] and self.code:
            lines.append(f"    {self.code}")
        self.exception = RaisedException(
            line.number, line.process_name, lines, self.frames, process=line.process
        )
        self.traceback.exceptions.append(self.exception)

    def read_message(self, line: LogLine) -> bool:
        """Read a further line of the message. Return False if the message is over."""
        foreign = _NOT_MESSAGE.search(line.text) or line.level != self.first_line.level
        if self.exception is None or foreign or len(self.exception.lines) > _MAX_MESSAGE:
            return False
        self.exception.lines.append(line.text.rstrip())
        return True

    @property
    def unfinished(self) -> str:
        """The innermost frame while the exception is still missing."""
        if not self.frames or self.exception or self.traceback.severity is Severity.HANDLED:
            return ""
        return f"{self.frames[-1].rpartition('/')[2]}: {self.code}"


class TracebackParser:
    """Parse the tracebacks of all writers. `report` is called with each traceback when it starts."""

    def __init__(self, report: Callable[[Traceback], None]) -> None:
        self._report = report
        self._open: dict[tuple[str, str], _OpenTraceback] = {}

    def start(self, line: LogLine, severity: Severity) -> None:
        """Start a traceback, or the next exception of the writer's chain."""
        previous = self._open.get(line.writer)
        if previous and previous.expects_next:
            previous.start_next()
            return
        pending = previous.pending + 1 if previous and previous.exception is None else 0
        self._open[line.writer] = _OpenTraceback(self._new(line, severity), line, pending)

    def read(self, line: LogLine) -> bool:
        """Read a line. Return False if it is not, or not surely, a part of a traceback."""
        opened = self._open.get(line.writer)
        if opened is None:
            return False
        if opened.exception is None:
            return opened.read_frame(line.text) or self._read_unindented(opened, line)
        if _REMOTE.search(opened.exception.lines[0]) and _FRAME.match(line.text):
            opened.start_next()
            return opened.read_frame(line.text)
        if chained := _CHAINED.search(line.text):
            opened.link(bool(chained["caught"]))
            return True
        if opened.pending > 0 and _EXCEPTION.match(line.text):
            self._read_pending(opened, line)
            return True
        if not opened.read_message(line):
            del self._open[line.writer]
        return False  # a line of a message may as well be another writer's

    def is_cut(self, line: LogLine) -> bool:
        """Whether the line is a frame of a stack whose beginning is not in the log: the tail of a longer one."""
        frame = _FRAME.match(line.text)
        return line.writer not in self._open and bool(frame and frame["name"])

    def is_reading(self, line: LogLine) -> bool:
        """Whether a traceback of the line's writer is being read."""
        return line.writer in self._open

    @property
    def reads_any(self) -> bool:
        """Whether any traceback is being read."""
        return bool(self._open)

    def forget(self) -> None:
        """Drop all tracebacks that are being read."""
        self._open.clear()

    @property
    def unfinished(self) -> str:
        """The innermost frame of the newest traceback whose exception is missing."""
        return next((opened.unfinished for opened in reversed(self._open.values()) if opened.unfinished), "")

    def _new(self, line: LogLine, severity: Severity) -> Traceback:
        traceback = Traceback(line.source, severity)
        self._report(traceback)
        return traceback

    def _read_unindented(self, opened: _OpenTraceback, line: LogLine) -> bool:
        """Read the exception, or a line that another writer put in between."""
        if _EXCEPTION.match(line.text):
            opened.read_exception(line)
            return True
        opened.foreign_lines += not line.from_vllm_logger
        if opened.foreign_lines > _MAX_MESSAGE:
            del self._open[line.writer]
        return False

    def _read_pending(self, opened: _OpenTraceback, line: LogLine) -> None:
        """Read the exception of another process, whose traceback is mixed into this one."""
        opened.pending -= 1
        opened.traceback = self._new(line, opened.traceback.severity)
        opened.read_exception(line)
