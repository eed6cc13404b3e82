"""`invoke diagnose`: why a server failed, from its log."""

from __future__ import annotations

from typing import Any

from commands.output import emit
from commands.task import one_of, verb


@verb(
    help={"source": "a log file (also packed), - for stdin, or a container's name", "format": "text or json"},
)
def diagnose(c: Any, source: str, format: str = "text") -> None:
    """Why a server failed: the cause, the lines that prove it, the cure.

    invoke diagnose server.log
    invoke diagnose slipway-minimax-m2 --format json
    """
    from dataclasses import asdict

    from launch.diagnosis.diagnose import diagnose as explain
    from launch.diagnosis.diagnose import format_text
    from launch.operations.diagnosis_source import read_source

    one_of("format", format, ("text", "json"))
    found = explain(read_source(source))
    if format == "json":
        emit(asdict(found))
    else:
        print(format_text(found))
