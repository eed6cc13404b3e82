"""A user's table of symptoms is checked: form, patterns, placeholders, examples, and benign lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Failed
from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from launch.diagnosis.rules import load_rules
from launch.diagnosis.symptom_check import check_symptoms

ROW = {
    "id": "own-proxy",
    "patterns": r"['proxy (?P<name>\S+) denied the request']",
    "cause": "the proxy <name> denies requests",
    "fix": "ask the network team",
    "source": "our handbook",
    "examples": "['RuntimeError: proxy p1 denied the request']",
}


def table(folder: Path, **changes: str) -> Path:
    row = {**ROW, **changes}
    path = folder / "symptoms.yaml"
    path.write_text("- " + "\n  ".join(f"{key}: {value}" for key, value in row.items()) + "\n")
    return path


def test_check_symptoms_accepts_a_good_row(tmp_path: Path) -> None:
    assert check_symptoms(table(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "port-taken"}, "a built-in symptom has this id"),
        ({"patterns": "[]"}, "patterns is empty"),
        ({"patterns": "['proxy (']"}, "is not a regular expression"),
        ({"fix": "use <other>"}, "no pattern has a group (?P<other>...)"),
        ({"examples": "['RuntimeError: another failure']"}, "is not matched"),
        ({"patterns": "['(?P<name>memlock)']", "plain": "true", "examples": "[]"}, "of a healthy server"),
    ],
)
def test_check_symptoms_names_the_problem(tmp_path: Path, changes: dict[str, str], problem: str) -> None:
    assert problem in "\n".join(check_symptoms(table(tmp_path, **changes)))


def test_check_symptoms_refuses_an_unknown_key(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="patern"):
        check_symptoms(table(tmp_path, patern="x"))


def test_load_rules_adds_a_users_row(tmp_path: Path) -> None:
    rules = load_rules(extra=table(tmp_path))
    found = diagnose(DiagnosisInput(["RuntimeError: proxy p7 denied the request"], 1), rules)
    assert (found.cause_id, found.cause) == ("own-proxy", "the proxy p7 denies requests")
