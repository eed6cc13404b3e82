"""`invoke diagnose`: why a server failed, from its log."""

from __future__ import annotations

from typing import Annotated

from invoke.context import Context

from commands.output import emit, show
from commands.shared_options import Format
from commands.task import verb
from launch.spec.option import Option


@verb()
def diagnose(
    c: Context,
    source: Annotated[
        str,
        Option(
            "log file (also compressed), - for stdin, or name of a container",
            metavar="SOURCE",
            positional=True,
            required=True,
        ),
    ] = "",
    format: Format = "text",
) -> None:
    """Diagnose why a server failed: root cause, the log lines that show it, and the fix.

    invoke diagnose server.log
    invoke diagnose slipway-minimax-m2 --format json
    """
    from dataclasses import asdict

    from launch.diagnosis.diagnose import diagnose as explain
    from launch.diagnosis.diagnose import format_text
    from launch.operations.diagnosis_source import read_source

    found = explain(read_source(source))
    if format == "json":
        emit(asdict(found))
    else:
        show(format_text(found))
