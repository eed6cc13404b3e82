"""`bench --slo` with real vLLM on CPU: every layout ends with a number of users, and impossible limits say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import WANTED, free_port
from tests.e2e.test_layouts import LAYOUTS
from tests.invocation import invoke

pytestmark = pytest.mark.slow
LOAD = ("--preset", "guide-cuda", "--scale", "0.02", "--format", "json")


@pytest.mark.parametrize("layout", ["TP1", "TP2", "DP2+EP"])
def test_the_search_ends_with_an_answer(
    layout: str, cpu_image: str, settings: dict[str, str], tmp_path: Path
) -> None:
    name, results = WANTED[-1], ("--results", str(tmp_path))
    try:
        invoke("run", *WANTED, *LAYOUTS[layout], "--port", free_port(), "--replace", **settings).ok()
        found = invoke("bench", name, *LOAD, *results, "--slo", "ttft=2s,tpot=100ms", "--budget", "3m").json
        none = invoke("bench", name, *LOAD, *results, "--slo", "ttft=1ms,tpot=1ms")
    finally:
        invoke("stop", name)
    answer, points = found["answer"], found["points"]
    assert answer["users"] >= 1
    assert answer["end"] in ("found", "saturated", "points", "budget")
    assert [point["users"] for point in points][:2] == [1, 2]
    assert all(point["meets"] for point in points if point["users"] <= answer["users"])

    assert none.code == 1
    assert "not even one user is served within the SLO: TTFT p95 is " in none.err
