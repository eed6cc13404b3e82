"""Diagnose a log file, stdin or a container, with a user's symptoms and a redacted report if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch.diagnosis.log_files import decode_lines
from launch.diagnosis.types import Diagnosis, DiagnosisInput

if TYPE_CHECKING:
    from launch.diagnosis.rules import Rules


def diagnose_source(source: str, symptoms: str = "", report: str = "") -> Diagnosis:
    """Diagnose a source; `symptoms` is a file with further rows, `report` a new file for a redacted report."""
    from launch.diagnosis.diagnose import diagnose
    from launch.diagnosis.report import Excerpt, render_report

    rules = _rules(symptoms)
    if report and Path(report).exists():
        raise Refused(f"report file '{report}' exists already", fix=f"rm {report}, or choose another file")
    found = read_source(source)
    excerpt = Excerpt()
    diagnosis = diagnose(replace(found, lines=excerpt.read(found.lines)), rules)
    if report:
        _write(Path(report), render_report(diagnosis, excerpt.lines))
    return diagnosis


def check_symptom_file(name: str) -> list[str]:
    """Return the problems of a user's table of symptoms. Raises Refused if it cannot be read as one."""
    from yaml import YAMLError

    from launch.diagnosis.symptom_check import check_symptoms

    path = Path(name)
    if not path.is_file():
        raise Refused(f"symptom file '{name}' does not exist", fix="invoke diagnose --check-symptoms FILE")
    try:
        return check_symptoms(path)
    except Failed as error:
        raise Refused(f"symptom file '{name}' is not valid", why=error.what, fix=_ROWS) from error
    except YAMLError as error:
        raise Refused(f"symptom file '{name}' is not YAML", why=" ".join(str(error).split())) from error


def _rules(symptoms: str) -> Rules:
    from launch.diagnosis.rules import load_rules

    if not symptoms:
        return load_rules()
    if problems := check_symptom_file(symptoms):
        fix = f"invoke diagnose --check-symptoms {symptoms}"
        raise Refused(f"symptom file '{symptoms}' has {len(problems)} problems", why=problems[0], fix=fix)
    return load_rules(extra=Path(symptoms))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failed(f"cannot write the report '{path}'", why=error.strerror or str(error)) from error


_ROWS = "docs/how-to/add-a-symptom.md shows the form of a row"


def read_source(source: str) -> DiagnosisInput:
    """Read a log file, `-` for stdin, or a container by name. Raises Refused if there is no such source."""
    if source == "-":
        return DiagnosisInput(_file_lines(Path("/dev/stdin")))
    path = Path(source)
    if path.is_file():
        return DiagnosisInput(_file_lines(path))
    if path.is_dir():
        raise Refused(f"'{source}' is a folder, not a log file", fix=f"invoke diagnose {source}/FILE")
    if "/" in source or source.startswith("-"):
        raise Refused(
            f"log file '{source}' does not exist",
            fix="invoke diagnose FILE, or a container that docker ps -a lists",
        )
    return _container_input(source)


def _file_lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield from decode_lines(file, str(path))
    except OSError as error:
        raise Refused(f"cannot read '{path}'", why=str(error.strerror)) from error


def _container_input(name: str) -> DiagnosisInput:
    from docker.errors import NotFound

    from launch.engine.client import connect
    from launch.serving.server_exit import read_exit

    try:
        container = connect().containers.get(name)
    except NotFound as error:
        raise Refused(f"no log file and no container is named '{name}'", fix="docker ps -a") from error
    return read_exit(container)
