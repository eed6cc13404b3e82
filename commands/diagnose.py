"""`invoke diagnose`: why a server failed, from its log."""

from __future__ import annotations

from typing import Annotated

from invoke.context import Context
from invoke.exceptions import Exit

from commands.output import emit, show
from commands.shared_options import Format
from commands.task import verb
from errors import Refused
from launch.diagnosis.types import Outcome
from launch.plural import count
from launch.spec.option import Option

EXIT_CODES = {Outcome.NAMED: 3, Outcome.UNKNOWN: 4, Outcome.FOREIGN: 4}


@verb()
def diagnose(
    c: Context,
    source: Annotated[
        str,
        Option(
            "log file (also compressed), - for stdin, or name of a container",
            metavar="SOURCE",
            positional=True,
        ),
    ] = "",
    report: Annotated[
        str,
        Option(
            "write a report with the log to a new file, without tokens, names and addresses", metavar="FILE"
        ),
    ] = "",
    symptoms: Annotated[str, Option("also use the symptoms in this YAML file", metavar="FILE")] = "",
    check_symptoms: Annotated[
        str, Option("check a YAML file of symptoms, and diagnose nothing", metavar="FILE")
    ] = "",
    format: Format = "text",
) -> None:
    """Diagnose why a server failed: root cause, the log lines that show it, and the fix.

    Exit status: 0 no failure, 3 a failure with a known cause, 4 a failure without one, 2 invalid request.

    invoke diagnose server.log
    invoke diagnose slipway-minimax-m2 --format json
    invoke diagnose server.log --report report.md
    """
    if check_symptoms:
        _check(check_symptoms)
        return
    if not source:
        raise Refused("SOURCE is missing", fix="invoke diagnose FILE, or invoke diagnose CONTAINER")
    from dataclasses import asdict

    from launch.diagnosis.diagnose import format_text
    from launch.operations.diagnosis_source import diagnose_source

    found = diagnose_source(source, symptoms, report)
    if format == "json":
        emit(asdict(found))
    else:
        show(format_text(found))
    if code := EXIT_CODES.get(found.outcome, 0):
        raise Exit(code=code)


def _check(name: str) -> None:
    from launch.operations.diagnosis_source import check_symptom_file

    problems = check_symptom_file(name)
    if problems:
        raise Refused(
            f"symptom file '{name}': {count(len(problems), 'problem')}", why="\n       ".join(problems)
        )
    show(f"symptom file '{name}' is valid")
