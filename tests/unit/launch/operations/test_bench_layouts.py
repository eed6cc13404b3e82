"""Which layouts are measured, and what is checked before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.operations.bench_layouts import candidates, check
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, TINY


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))


def test_the_layouts_are_those_of_all_ranks_and_of_half_of_them_each_once() -> None:
    found = candidates(PlanOptions(TINY, platform="cpu", gpus="2"))
    assert [(plan.layout.name, plan.layout.gpus) for plan in found] == [
        ("TP2", 2), ("TP2+EP", 2), ("DP2+EP", 2), ("TP1", 1),
    ]  # fmt: skip


def test_a_list_of_gpus_is_refused() -> None:
    with pytest.raises(Refused, match="layouts are compared for a number of GPUs"):
        candidates(PlanOptions(TINY, platform="cpu", gpus="0,1"))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (PlanOptions("nobody/nothing", platform="cpu"), Refused, "unknown model 'nobody/nothing'"),
        (PlanOptions(M2, platform="cpu", variant="int3"), Refused, "unknown variant 'int3'"),
        (PlanOptions(M2, platform="cpu", gpus="0,1"), Refused, "layouts are compared for a number of GPUs"),
        (PlanOptions(M2, platform="cpu"), Failed, f"{M2}.* is not in the cache"),
    ],
)
def test_what_no_layout_could_start_with_is_found_before(
    options: PlanOptions, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        check(options)
