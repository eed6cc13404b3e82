"""The result for each log that was rebuilt from a public report, as a reader who knows its cause judged it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launch.diagnosis.diagnose import DiagnosisInput, diagnose
from tests.conftest import SHARED

FOLDER = SHARED / "logs" / "public"
EXPECTED: dict[str, str] = yaml.safe_load(Path(__file__).with_name("public_cases.yaml").read_text())


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the public cases are not at {FOLDER}")
@pytest.mark.parametrize("name", EXPECTED)
def test_diagnose_gives_the_expected_result_for_a_public_case(name: str) -> None:
    path = next(path for path in (*FOLDER.glob("*.log"), *FOLDER.glob("*/*.log")) if path.stem == name)
    with path.open(errors="replace") as lines:
        found = diagnose(DiagnosisInput(lines))
    assert (found.cause_id or found.outcome.value) == EXPECTED[name], found.cause
