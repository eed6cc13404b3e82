"""Tell whose log it is: that of a vLLM server with its node and libraries, or that of another program."""

from __future__ import annotations

import re
from collections.abc import Iterable

from launch.diagnosis.rules import Ends, LogPattern

_MAX_SOURCES = 64
# Another program may import parts of vLLM, so a frame does not show whose log it is.
_FRAME = re.compile(r"^\s*File \"")


class LogMarks:
    """Collect the marks of a log, line by line. `sources` are the containers or pods whose lines have marks."""

    def __init__(self, ends: Ends) -> None:
        own, *related = ends.vllm_marks
        self._own, self._related = _any_of([own]), _any_of(related)
        self._foreign = [(_any_of([row]), row.source) for row in ends.foreign_marks]
        self.sources: set[str] = set()
        self.program = ""  # the other program whose marks the log has
        self._has_own = self._has_related = False

    def read(self, text: str, source: str = "") -> None:
        """Read a line. After the first mark of vLLM itself, only the sources matter."""
        if source and source not in self.sources and len(self.sources) < _MAX_SOURCES and self._marked(text):
            self.sources.add(source)
        if self._has_own:
            return
        own = self._own.search(text) is not None
        self._has_own = own and _FRAME.match(text) is None
        self._has_related = self._has_related or own or self._related.search(text) is not None
        if not self.program:
            self.program = next((name for pattern, name in self._foreign if pattern.search(text)), "")

    @property
    def is_foreign(self) -> bool:
        """Whether the log shows no sign of vLLM, or signs of another program and none of vLLM itself."""
        return not self._has_own and (not self._has_related or bool(self.program))

    def _marked(self, text: str) -> bool:
        return (self._own.search(text) or self._related.search(text)) is not None


def _any_of(rows: Iterable[LogPattern]) -> re.Pattern[str]:
    return re.compile("|".join(row.pattern for row in rows))
