"""Plans as readable files in tests/golden/plans: a changed rule appears as a changed line.

SLIPWAY_GOLDEN=write rewrites them. Read the diff before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from launch.render import render
from tests.unit.launch.plan_builders import M2, M21, TINY, plan

GOLDEN = Path(__file__).parents[3] / "golden" / "plans"
AMD = {"devices": ("/dev/dri/renderD128", "/dev/dri/renderD136"), "groups": ("44", "105")}

CASES: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "m2.1-h200x4.text": (M21, "h200", 4, {}),
    "m2.1-h200x4.docker": (M21, "h200", 4, {}),
    "m2-a100x8.text": (M2, "a100", 8, {}),
    "m2-mi300x8-guide.docker": (
        M2,
        "mi300x",
        8,
        {"vllm": "0.11.1", "image": "rocm/vllm-dev:nightly", "access": "guide"},
    ),
    "m2-mi300x2-this-host.docker": (M2, "mi300x", 2, {"facts": AMD}),
    "m2-mi300x8.text": (M2, "mi300x", 8, {}),
    "m2-h200x8-two-nodes.kubernetes": (M2, "h200", 8, {"nodes": 2}),
    "m2-h100x4-workaround.quadlet": (
        M2,
        "h100",
        4,
        {"strategy": "single_node_tep", "workarounds": ("piecewise-cudagraphs",)},
    ),
    "tiny-cpu.compose": (TINY, "cpu", 1, {}),
    "tiny-cpu-x2.json": (TINY, "cpu", 2, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_plan_equals_its_golden_file(name: str) -> None:
    model, hardware, gpus, options = CASES[name]
    printed = render(plan(model, hardware, gpus, **options), name.rpartition(".")[2]).rstrip() + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SLIPWAY_GOLDEN") == "write":
        file.write_text(printed)
    assert printed == file.read_text()
