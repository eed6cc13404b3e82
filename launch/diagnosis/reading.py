"""Read a log once, front to back, and find the tracebacks of each process and the lines that complain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from launch.diagnosis.failure import EXCEPTION, FRAME, MESSAGE_LINES, Failure, Raised, Weight
from launch.diagnosis.keeping import Reading
from launch.diagnosis.record import Record, read

_TRACEBACK = "Traceback (most recent call last"
_CHAINED = re.compile(
    r"During handling of the above exception|above exception was the direct cause of the following exception"
)
_FATAL = re.compile(
    r"failed to start|fatal error|hit an exception|^Process \S+:$|engine (?:core|process|loop)|"
    r"processing method (?:init|load)|died|Unhandled|Uncaught",
    re.IGNORECASE,
)
_HANDLED = re.compile(
    r"^Exception ignored in|^Exception in thread|Logging error|Task exception was never|Exception in ASGI|"
    r"^Exception in callback|Error in atexit|Error in sys\.excepthook",
)
_NOT_MESSAGE = re.compile(
    r"^Process \S+:$|^\[rank\d+\]:\[|resource_tracker|^\s*warnings\.warn|^Exception (?:ignored )?in\b|"
    r"checkpoint shards:|^frame #\d+|^\S+ exited with code \d+$"
)
_DULL = ("INFO", "DEBUG")
_FACTS = ("startup complete", "non-default args", "API server version")


@dataclass
class _Open:
    """A traceback that is still being printed by one writer."""

    failure: Failure
    record: Record
    frames: list[str] = field(default_factory=list)
    raised: Raised | None = None
    chained: bool = False
    strange: int = 0
    pending: int = 0  # tracebacks of other processes that began in the middle, indistinguishable by prefix


class Reader:
    """Feed it lines; `reading` is what stays."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._before: Reading | None = None
        self._open: dict[tuple[str, str], _Open] = {}
        self._said: dict[tuple[str, str], str] = {}

    def feed(self, raw: str, number: int) -> None:
        """Take one line of the log."""
        if not self._open and _is_dull(raw):
            return
        record = read(raw, number)
        if record.level in _DULL:
            self._fact(record)
        else:
            self._line(record)

    def result(self) -> Reading:
        """The last start that failed; the present one where none before it did."""
        if self._before is not None and not self.reading.all_failures and not self.reading.lines:
            return self._before
        return self.reading

    def _fact(self, record: Record) -> None:
        if "startup complete" in record.text:
            self.reading.serving = True
        elif "non-default args" in record.text or "API server version" in record.text:
            self._begin()

    def _begin(self) -> None:
        """A container that was started again holds the logs of all its starts: the newest counts."""
        if any(failure.weight is Weight.FATAL for failure in self.reading.all_failures):
            self._before, self.reading = self.reading, Reading()
            self._open.clear()
        self.reading.begun = True

    def _line(self, record: Record) -> None:
        writer = record.writer
        if _TRACEBACK in record.text:
            self._traceback(record)
        elif writer in self._open:
            self._continue(self._open[writer], record)
        else:
            self._complaint(record)
        if record.text.strip():
            self._said[writer] = record.text

    def _complaint(self, record: Record) -> None:
        if record.text.strip():
            self.reading.note(record)

    def _traceback(self, record: Record) -> None:
        writer = record.writer
        earlier = self._open.get(writer)
        if earlier and earlier.chained:
            earlier.chained, earlier.raised, earlier.frames = False, None, []
            return
        failure = Failure(record.process, self._weight(record))
        self.reading.add(failure)
        pending = earlier.pending + 1 if earlier and earlier.raised is None else 0
        self._open[writer] = _Open(failure, record, pending=pending)

    def _weight(self, record: Record) -> Weight:
        before = self._said.get(record.writer, "")
        if record.level == "WARNING" or _HANDLED.search(before) or _HANDLED.search(record.text):
            return Weight.HANDLED
        if _FATAL.search(before) or _FATAL.search(record.text) or not record.level:
            return Weight.FATAL
        return Weight.HANDLED if self.reading.serving and "API" in record.who else Weight.LOGGED

    def _continue(self, traceback: _Open, record: Record) -> None:
        if traceback.raised is None:
            self._frame(traceback, record)
        elif _CHAINED.search(record.text):
            traceback.chained = True
        else:
            self._message(traceback, traceback.raised, record)

    def _frame(self, traceback: _Open, record: Record) -> None:
        if frame := FRAME.match(record.text):
            traceback.frames.append(f"{_stem(frame['file'])}.{frame['name'] or ''}")
        elif not record.text.startswith((" ", "\t")) and record.text.strip():
            self._unindented(traceback, record)

    def _unindented(self, traceback: _Open, record: Record) -> None:
        """The exception itself, or words of another writer in between."""
        if EXCEPTION.match(record.text):
            self._raised(traceback, record)
            return
        self._complaint(record)
        traceback.strange += 1
        if traceback.strange > MESSAGE_LINES:
            del self._open[record.writer]

    def _raised(self, traceback: _Open, record: Record) -> None:
        lines = [record.text.rstrip()]
        traceback.raised = Raised(record.number, record.who, lines, traceback.frames[-40:])
        traceback.failure.chain.append(traceback.raised)

    def _message(self, traceback: _Open, raised: Raised, record: Record) -> None:
        """A further line of the message; it may be a stranger's, so it counts as a line of its own too."""
        if traceback.pending and EXCEPTION.match(record.text):
            traceback.pending -= 1
            traceback.failure = Failure(record.process, traceback.failure.weight)
            self.reading.add(traceback.failure)
            self._raised(traceback, record)
            return
        self._complaint(record)
        foreign = _NOT_MESSAGE.search(record.text) or record.level != traceback.record.level
        if foreign or len(raised.lines) > MESSAGE_LINES:
            del self._open[record.writer]
        else:
            raised.lines.append(record.text.rstrip())


def _stem(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".py")


def _is_dull(raw: str) -> bool:
    """Whether a line can be passed over unread: nearly all of a long log is of this kind."""
    head = raw[:100]
    return ("INFO" in head or "DEBUG" in head) and not any(fact in raw for fact in _FACTS)


def read_log(lines: Iterable[str]) -> Reading:
    """Read a whole log. Memory does not grow with it."""
    reader = Reader()
    for number, raw in enumerate(lines, 1):
        reader.feed(raw, number)
    return reader.result()
