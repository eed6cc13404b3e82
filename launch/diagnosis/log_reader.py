"""Read a log once, front to back, and find the tracebacks of each process and the lines that complain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from launch.diagnosis.log_line import Record, read
from launch.diagnosis.log_prefixes import Wrapping
from launch.diagnosis.log_summary import Reading
from launch.diagnosis.traceback_model import EXCEPTION, Failure, Weight
from launch.diagnosis.traceback_parser import CHAINED, Opened

STUCK = 10  # minutes in which no rank takes what another offers; compiling takes fewer
LEARNING = 200  # lines whose wrapping is looked at even where they tell nothing

_WAITS = "No available shared memory broadcast block found"
_TRACEBACK = "Traceback (most recent call last"
_FATAL = re.compile(
    r"failed to start|fatal error|hit an exception|^Process \S+:$|engine (?:core|process|loop)|"
    r"processing method (?:init|load)|died|Unhandled|Uncaught",
    re.IGNORECASE,
)
_HANDLED = re.compile(
    r"^Exception ignored in|^Exception in thread|Logging error|Task exception was never|Exception in ASGI|"
    r"^Exception in callback|Error in atexit|Error in sys\.excepthook",
)
# Where a single request is served: what goes wrong there is told to its client.
_REQUEST = re.compile(
    r"(?:^|/)(?:serving\w*|\w*(?:tool|reasoning)\w*parsers?|api_router|chat_utils|preprocess\w*)\.py:"
)
_DULL = ("INFO", "DEBUG")


class Reader:
    """Feed it lines; `reading` is what stays."""

    def __init__(self) -> None:
        self.reading = Reading(empty=True)
        self._wrapping = Wrapping()
        self._open: dict[tuple[str, str], Opened] = {}
        self._said: dict[tuple[str, str], str] = {}

    def feed(self, raw: str, number: int) -> None:
        """Take one line of the log."""
        self.reading.empty = False
        if _is_dull(raw) and not self._wrapping.levelled:
            self._dull(raw, number)
            return
        for line in self._wrapping.lines(raw):
            record = read(line, number)
            if record.level in _DULL:
                self._fact(record)
            else:
                self._line(record)

    def result(self) -> Reading:
        """The newest start; the one before it where that failed and this one has not got to anything yet."""
        self.reading.cut = next((opened.cut for opened in reversed(self._open.values()) if opened.cut), "")
        earlier = self.reading.earlier
        return earlier if earlier and self.reading.quiet and not self.reading.serving else self.reading

    def _dull(self, raw: str, number: int) -> None:
        if '"POST ' in raw and '" 200' in raw:
            self.reading.serving, self.reading.answered = True, number
        elif _WAITS in raw:
            self._waiting(raw, number)
        if number <= LEARNING:
            self._wrapping.learn(raw)

    def _waiting(self, raw: str, number: int) -> None:
        """vLLM says every minute that a rank does not read; said again and again, the rank hangs."""
        self.reading.waited += 1
        if self.reading.waited == STUCK:
            for line in self._wrapping.lines(raw):
                self.reading.note(replace(read(line, number), level="ERROR"))

    def _fact(self, record: Record) -> None:
        if "startup complete" in record.text:
            self._served(record)
        elif "non-default args" in record.text or "API server version" in record.text:
            self._begin()

    def _served(self, record: Record) -> None:
        """What stood before did not stop this start; where it stopped one, that was another start."""
        if self.reading.failed:
            self._begin()
        else:
            self.reading.survived(record.box)
            self._open.clear()
        self.reading.serving = True

    def _begin(self) -> None:
        """A container that was started again holds the logs of all its starts: the newest counts."""
        before = self.reading
        if before.failed or before.serving:
            failed, before.earlier = before if before.failed else before.earlier, None
            self.reading = Reading(earlier=failed)
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
            passing = record.level == "ERROR" and (self._of_a_request(record) or _HANDLED.search(record.text))
            self.reading.note(replace(record, level="WARNING") if passing else record)

    def _of_a_request(self, record: Record) -> bool:
        """Whether it concerns one request of a server that goes on."""
        return bool(_REQUEST.search(record.place)) or (self.reading.serving and "API" in record.who)

    def _traceback(self, record: Record) -> None:
        writer = record.writer
        earlier = self._open.get(writer)
        if earlier and earlier.chained:
            earlier.again()
            return
        pending = earlier.pending + 1 if earlier and earlier.raised is None else 0
        self._open[writer] = Opened(self._failure(record, self._weight(record)), record, pending)

    def _failure(self, record: Record, weight: Weight) -> Failure:
        failure = Failure(record.box, weight)
        self.reading.add(failure)
        return failure

    def _weight(self, record: Record) -> Weight:
        before = self._said.get(record.writer, "")
        if record.level == "WARNING" or _HANDLED.search(before) or _HANDLED.search(record.text):
            return Weight.HANDLED
        if _FATAL.search(before) or _FATAL.search(record.text) or not record.level:
            return Weight.FATAL
        return Weight.HANDLED if self._of_a_request(record) else Weight.LOGGED

    def _continue(self, opened: Opened, record: Record) -> None:
        if opened.raised is None:
            if not opened.frame(record.text):
                self._unindented(opened, record)
        elif chained := CHAINED.search(record.text):
            opened.chain(bool(chained["caught"]))
        elif opened.others(record):
            opened.pending -= 1
            opened.failure = self._failure(record, opened.failure.weight)
            opened.raise_(record)
        else:
            self._message(opened, record)

    def _unindented(self, opened: Opened, record: Record) -> None:
        """The exception itself, or words of another writer in between."""
        if EXCEPTION.match(record.text):
            opened.raise_(record)
            return
        self._complaint(record)
        if opened.strangers(record):
            del self._open[record.writer]

    def _message(self, opened: Opened, record: Record) -> None:
        """A further line of the message; it may be a stranger's, so it counts as a line of its own too."""
        self._complaint(record)
        if not opened.message(record):
            del self._open[record.writer]


def _is_dull(raw: str) -> bool:
    """Whether a line can be passed over unread: nearly all of a long log is of this kind, so this is fast.

    NCCL_DEBUG=INFO is not the level of a line.
    """
    head = raw[:100]
    if ("INFO" not in head or "=INFO" in head) and ("DEBUG" not in head or "DEBUG=" in raw[:110]):
        return False
    facts = "startup complete" in raw or "non-default args" in raw or "API server version" in raw
    return not facts and _TRACEBACK not in raw


def read_log(lines: Iterable[str]) -> Reading:
    """Read a whole log. Memory does not grow with it."""
    reader = Reader()
    for number, raw in enumerate(lines, 1):
        reader.feed(raw, number)
    return reader.result()
