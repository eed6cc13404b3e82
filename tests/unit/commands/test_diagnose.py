"""`invoke diagnose` as a script uses it: exit status, JSON, a redacted report and a table of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.invocation import invoke

LOGS = ROOT / "tests/data/logs"

SYMPTOM = """\
- id: own-proxy
  patterns: ['proxy (?P<name>\\S+) denied the request']
  cause: "the proxy <name> denies requests"
  fix: ask the network team
  source: our handbook
"""
DENIED = "vLLM log\nRuntimeError: proxy p7 denied the request of 10.20.30.40\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "symptoms.yaml").write_text(SYMPTOM)
    (tmp_path / "denied.log").write_text(DENIED)
    return tmp_path


@pytest.mark.parametrize(
    ("log", "code"), [("ready.log", 0), ("portinuse.log", 3), ("foreign/nginx.log", 4), ("absent.log", 2)]
)
def test_diagnose_tells_its_result_by_its_exit_status(log: str, code: int) -> None:
    assert invoke("diagnose", str(LOGS / log)).code == code


def test_diagnose_returns_4_for_a_failure_without_a_rule(folder: Path) -> None:
    assert invoke("diagnose", str(folder / "denied.log")).code == 4


def test_diagnose_as_json_has_the_row_its_evidence_and_how_sure_it_is() -> None:
    found = json.loads(invoke("diagnose", str(LOGS / "portinuse.log"), "--format", "json").out)
    assert (found["cause_id"], found["outcome"], found["confidence"]) == ("port-taken", "named", "high")
    assert "Address already in use" in found["evidence"][0]
    assert found["change"] == {"port": True}


def test_diagnose_uses_a_table_of_ones_own(folder: Path) -> None:
    done = invoke("diagnose", str(folder / "denied.log"), "--symptoms", str(folder / "symptoms.yaml"))
    assert (done.code, "the proxy p7 denies requests" in done.out) == (3, True)


def test_diagnose_checks_a_table_of_symptoms(folder: Path) -> None:
    assert "is valid" in invoke("diagnose", "--check-symptoms", str(folder / "symptoms.yaml")).ok().out
    (folder / "symptoms.yaml").write_text(SYMPTOM.replace("?P<name>", ""))
    done = invoke("diagnose", "--check-symptoms", str(folder / "symptoms.yaml"))
    assert (done.code, "<name> is used" in done.err) == (2, True)


def test_diagnose_refuses_a_table_that_is_not_yaml(folder: Path) -> None:
    (folder / "symptoms.yaml").write_text("- {")
    done = invoke("diagnose", "--check-symptoms", str(folder / "symptoms.yaml"))
    assert (done.code, "is not YAML" in done.err) == (2, True)


def test_diagnose_writes_a_report_without_addresses_and_keeps_an_old_one(folder: Path) -> None:
    report = folder / "report.md"
    words = ("diagnose", str(folder / "denied.log"), "--report", str(report))
    assert invoke(*words).code == 4
    assert "denied the request" in report.read_text()
    assert "10.20.30.40" not in report.read_text()
    assert invoke(*words).code == 2


def test_diagnose_asks_for_a_source() -> None:
    done = invoke("diagnose")
    assert (done.code, "SOURCE is missing" in done.err) == (2, True)
