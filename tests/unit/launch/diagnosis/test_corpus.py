"""No rule matches an innocent line, and every wording is recognized whatever innocent lines surround it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launch.diagnosis.candidates import match_line
from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.log_line import parse_line
from launch.diagnosis.log_prefixes import PrefixStripper
from launch.diagnosis.rules import load_rules
from launch.diagnosis.types import Outcome
from tests.conftest import ROOT
from tests.unit.launch.diagnosis.test_rules import EXAMPLES, cases, failure_of, worker_traceback

BENIGN = sorted((ROOT / "launch/diagnosis/benign").glob("*.log"))
FOREIGN = sorted((ROOT / "tests/data/logs/foreign").glob("*.log"))
UNKNOWN = "ValueError: a failure that no rule knows"


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


# A server that serves or was stopped begins a new start, so only the lines of starts and images can precede a failure.
BEFORE = [path for path in BENIGN if path.stem not in ("serving", "stopped", "pod-events")]
START = (
    "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'tensor_parallel_size': 2}"
)
PRELUDE = [*(line for path in BEFORE for line in lines_of(path)), START]


def diagnose_lines(lines: list[str], exit_code: int | None = 1) -> Diagnosis:
    return diagnose(DiagnosisInput(lines, exit_code))


@pytest.mark.parametrize("path", BENIGN, ids=lambda path: path.stem)
def test_diagnose_finds_no_failure_in_a_benign_log(path: Path) -> None:
    found = diagnose_lines(lines_of(path), exit_code=None)
    assert found.cause_id == ""
    assert found.outcome in (Outcome.HEALTHY, Outcome.WAITING), found.cause


@pytest.mark.parametrize("path", BENIGN, ids=lambda path: path.stem)
def test_rules_do_not_match_a_benign_line(path: Path) -> None:
    rules = load_rules()
    stripper = PrefixStripper()
    for raw in lines_of(path):
        for stripped in stripper.strip(raw):
            line = parse_line(stripped)
            if not rules.is_non_fatal(line.text):
                assert [one.rule.id for one in match_line(line, {}, "start", rules)] == [], raw


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.stem)
def test_diagnose_names_no_cause_for_another_program(path: Path) -> None:
    found = diagnose_lines(lines_of(path), exit_code=None)
    assert (found.outcome, found.cause_id) == (Outcome.FOREIGN, "")


@pytest.mark.parametrize("path", BENIGN, ids=lambda path: path.stem)
def test_benign_lines_do_not_explain_an_unknown_failure(path: Path) -> None:
    found = diagnose_lines(lines_of(path) + worker_traceback(UNKNOWN))
    assert (found.known, found.first_exception) == (False, UNKNOWN)


@pytest.mark.parametrize(("cause", "message"), cases("exceptions"))
def test_rules_match_an_exception_after_benign_lines(cause: str, message: str) -> None:
    assert diagnose_lines(PRELUDE + worker_traceback(message)).cause_id == cause


@pytest.mark.parametrize(("cause", "line"), cases("lines"))
def test_rules_match_a_line_after_benign_lines(cause: str, line: str) -> None:
    assert diagnose_lines([*PRELUDE, line]).cause_id == cause


@pytest.mark.parametrize(
    ("cause", "case"), [(cause, case) for cause, rows in EXAMPLES["cases"].items() for case in rows]
)
def test_rules_match_under_their_conditions_after_benign_lines(cause: str, case: dict[str, Any]) -> None:
    banners = [line for path in BEFORE if not path.stem.startswith("start") for line in lines_of(path)]
    assert diagnose_lines([*banners, *case.get("before", ()), *failure_of(case)]).cause_id == cause


@pytest.mark.parametrize("length", [15, 30, 60])
def test_rules_match_in_the_tail_of_a_log(length: int) -> None:
    for cause, message in cases("exceptions"):
        if len(message.splitlines()) < length - 6:
            log = PRELUDE + worker_traceback(message)
            assert diagnose_lines(log[-length:]).cause_id == cause, message
