"""Logs of real vLLM 0.32 on CPU, which lie beside the repository."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose
from tests.conftest import SHARED

LOGS = SHARED / "logs"

pytestmark = pytest.mark.skipif(not LOGS.is_dir(), reason="the recorded logs are not beside this repository")


def explain(name: str) -> Diagnosis:
    with (LOGS / name).open(errors="replace") as lines:
        return diagnose(Evidence(lines))


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("badflag.log", "unknown-flag"),
        ("badmodel.log", "not-in-cache"),
        ("badtoolparser.log", "unknown-parser"),
        ("kvsmall.log", "kv-cache-too-small"),
        ("missing-shard.log", "shard-missing"),
        ("portinuse.log", "port-taken"),
        ("toolen.log", "context-too-long"),
        ("tp3.log", "heads-not-divisible"),
    ],
)
def test_a_failed_start_is_explained(name: str, cause: str) -> None:
    assert explain(name).cause_id == cause


@pytest.mark.parametrize("name", ["ready.log", "ready-tp2-ep.log", "bench-table.log"])
def test_a_good_start_has_no_failure(name: str) -> None:
    assert explain(name).cause == "no failure in this log"


def test_the_cure_carries_the_log_s_own_numbers() -> None:
    assert explain("kvsmall.log").change == {"set": {"--max-model-len": "1920"}}
    assert explain("toolen.log").change == {"set": {"--max-model-len": "4096"}}
    assert explain("tp3.log").change == {"set": {"--tensor-parallel-size": "2"}}
    assert explain("portinuse.log").change == {"port": True}


def test_the_missing_file_is_named() -> None:
    assert "model-00002-of-00003.safetensors" in explain("missing-shard.log").cause
