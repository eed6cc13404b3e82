"""The figures of the usage guide next to a run of its benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.bench.guide_figures import guide_rows, load_guide_figures
from tests.unit.launch.bench.group_data import VOID, side


def test_the_figures_are_those_of_the_guide(shared: Path) -> None:
    guide = (shared / "guide.md").read_text()
    assert all(f"{figure:g}" in guide for figure in load_guide_figures().figures.values())


def test_a_run_of_the_guide_is_a_ratio_of_its_figures() -> None:
    rows = {row.metric.key: row for row in guide_rows(side("g", [231.9, 231.9]))}
    assert rows["output_throughput"].ratio == pytest.approx(2)
    assert rows["mean_ttft_ms"].guide == 520.98


@pytest.mark.parametrize("changes", [{"preset": "chat"}, {"scale": 0.02}, {"validity": VOID}])
def test_another_load_or_a_void_run_is_not_set_against_the_guide(changes: dict[str, object]) -> None:
    assert guide_rows(side("g", [100], **changes)) == ()


def test_the_caution_names_model_and_hardware() -> None:
    assert (
        "MiniMaxAI/MiniMax-M2, TP4 on 4 x NVIDIA H20-3e: one run, other hardware"
        in load_guide_figures().caution
    )
