"""The report of a failure that a user can attach to an issue: the diagnosis and the log, without private text."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from launch.diagnosis.redaction import redact_lines
from launch.diagnosis.types import Diagnosis

HEAD, TAIL = 100, 400  # lines of the log that the report contains
_MAX_LENGTH = 1000


class Excerpt:
    """The first and last lines of a log, kept while it is read."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._count = 0

    def read(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines unchanged."""
        for line in lines:
            self._count += 1
            (self._head if self._count <= HEAD else self._tail).append(line.rstrip("\n")[:_MAX_LENGTH])
            yield line

    @property
    def lines(self) -> list[str]:
        """The kept lines, with a mark where lines are left out."""
        left_out = self._count - len(self._head) - len(self._tail)
        return [*self._head, *([f"... {left_out} lines left out ..."] if left_out else []), *self._tail]


def render_report(diagnosis: Diagnosis, log: Iterable[str]) -> str:
    """Return the report as Markdown, with everything private replaced."""
    result = json.dumps(asdict(diagnosis), indent=2, ensure_ascii=False)
    text = [
        "# Diagnosis of a vLLM server",
        "",
        "Private text was replaced by placeholders. Check the report before you publish it.",
        "",
        "## Result",
        "",
        "```json",
        *result.splitlines(),
        "```",
        "",
        "## Log",
        "",
        "```text",
        *(line.replace("```", "'''") for line in log),
        "```",
    ]
    return "\n".join(redact_lines(text)) + "\n"
