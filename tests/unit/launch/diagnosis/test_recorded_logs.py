"""Diagnose logs that were recorded with vLLM 0.32 on CPU."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from tests.conftest import ROOT

LOGS = ROOT / "tests" / "data" / "logs"


def diagnose_log(name: str) -> Diagnosis:
    with (LOGS / name).open(errors="replace") as lines:
        return diagnose(DiagnosisInput(lines))


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("badflag.log", "unknown-flag"),
        ("badmodel.log", "not-in-cache"),
        ("badtoolparser.log", "unknown-parser"),
        ("engine-core-killed.log", "killed"),
        ("kvsmall.log", "kv-cache-too-small"),
        ("missing-shard.log", "shard-missing"),
        ("portinuse.log", "port-taken"),
        ("toolen.log", "context-too-long"),
        ("tp3.log", "heads-not-divisible"),
    ],
)
def test_diagnose_names_the_cause_of_a_recorded_failure(name: str, cause: str) -> None:
    assert diagnose_log(name).cause_id == cause


@pytest.mark.parametrize("name", ["ready.log", "ready-tp2-ep.log", "bench-table.log"])
def test_diagnose_finds_no_failure_in_a_recorded_success(name: str) -> None:
    assert diagnose_log(name).cause == "no failure in this log"


def test_diagnose_takes_the_values_of_a_change_from_the_log() -> None:
    assert diagnose_log("kvsmall.log").change == {"set": {"--max-model-len": "1920"}}
    assert diagnose_log("toolen.log").change == {"set": {"--max-model-len": "4096"}}
    assert diagnose_log("tp3.log").change == {"set": {"--tensor-parallel-size": "2"}}
    assert diagnose_log("portinuse.log").change == {"port": True}


def test_diagnose_names_the_missing_file() -> None:
    assert "model-00002-of-00003.safetensors" in diagnose_log("missing-shard.log").cause
