"""Logs that share a line and fail for different reasons get different answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from tests.unit.launch.diagnosis.test_rules import failure_of

GROUPS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("confusable_logs.yaml").read_text())
CASES = [
    pytest.param(case, id=f"{group['shares']}-{case['cause']}") for group in GROUPS for case in group["logs"]
]


@pytest.mark.parametrize("case", CASES)
def test_diagnose_tells_logs_with_a_common_line_apart(case: dict[str, Any]) -> None:
    found = diagnose(DiagnosisInput([*case.get("before", ()), *failure_of(case)], exit_code=1))
    assert (found.cause_id or found.outcome.value) == case["cause"], found.cause


def test_each_group_has_several_logs() -> None:
    assert len(GROUPS) > 10
    assert all(len(group["logs"]) > 1 for group in GROUPS)
