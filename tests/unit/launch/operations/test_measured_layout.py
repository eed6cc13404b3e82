"""`plan --prefer measured`: the measured layout with its reason, or one clear refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from errors import Refused
from launch.bench.layouts.best_layout import BestLayout, save
from launch.operations.measured_layout import subject_of
from launch.operations.plan_inputs import plan_of
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2

ASKED = PlanOptions(M2, hardware="h200", gpus="8")
MEASURED = replace(ASKED, prefer="measured")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))


def remember(
    strategy: str = "single_node_tep", layout: str = "TP8+EP", gpus: int = 8, scale: float = 1
) -> None:
    subject = subject_of(plan_of(ASKED), ASKED, 8)
    save(
        BestLayout(
            subject, "guide-cuda", "throughput", strategy, layout, gpus, "winner",
            "1.10 times DP8+EP [1.09, 1.11]", "2026-11-27T10:00:00+00:00", ("r1", "r2"), scale,
        )
    )  # fmt: skip


def test_the_plan_has_the_measured_layout_and_names_the_records() -> None:
    assert plan_of(ASKED).layout.name == "DP8+EP"
    remember()
    plan = plan_of(MEASURED)
    assert plan.layout.name == "TP8+EP"
    assert plan.reasons[0].item == "layout"
    assert plan.reasons[0].why == (
        "measured on 2026-11-27 for throughput with the preset guide-cuda: 1.10 times DP8+EP [1.09, 1.11]"
    )
    assert plan.reasons[0].source == "runs r1, r2"


def test_it_may_use_fewer_gpus_than_are_offered() -> None:
    remember("single_node_tp", "TP4", 4)
    assert plan_of(MEASURED).layout.name == "TP4"


@pytest.mark.parametrize("other", [{"gpus": "4"}, {"hardware": "h100"}, {"prefer": "measured:latency"}])
def test_without_a_measurement_it_says_what_to_measure(other: dict[str, str]) -> None:
    remember()
    with pytest.raises(Refused, match=r"no layout of MiniMaxAI/MiniMax-M2 was measured") as refused:
        plan_of(replace(MEASURED, **other))  # type: ignore[arg-type]
    assert refused.value.fix.startswith("invoke bench --layouts")


def test_other_settings_are_measured_on_their_own() -> None:
    remember()
    with pytest.raises(Refused, match="with --set --max-num-seqs=8") as refused:
        plan_of(replace(MEASURED, settings=(("--max-num-seqs", "8"),)))
    assert refused.value.fix.startswith("invoke bench --layouts --set --max-num-seqs=8")


def test_the_reason_names_the_scale() -> None:
    remember(scale=0.1)
    assert "with the preset guide-cuda at scale 0.1: " in plan_of(MEASURED).reasons[0].why


def test_a_layout_that_its_strategy_does_not_give_any_more_is_refused() -> None:
    remember("single_node_tp", "TP8", gpus=4)  # of cards that were divided in two
    with pytest.raises(Refused, match="TP8 was measured, and the plan would have TP4"):
        plan_of(MEASURED)


def test_a_strategy_of_the_user_is_not_replaced() -> None:
    with pytest.raises(Refused, match="--prefer cannot be used with --strategy"):
        plan_of(replace(MEASURED, strategy="single_node_tp"))


def test_a_list_of_gpus_is_refused() -> None:
    remember()
    with pytest.raises(Refused):
        plan_of(replace(MEASURED, gpus="0,1"))
