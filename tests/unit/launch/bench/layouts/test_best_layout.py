"""A measured layout is found again for what it was measured with, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launch.bench.layouts.best_layout import BestLayout, Subject, find, save
from launch.bench.layouts.trial import Goal

SUBJECT = Subject("MiniMaxAI/MiniMax-M2", "a" * 40, "", "h200", 8, "sha256:" + "b" * 64)
BEST = BestLayout(
    SUBJECT, "guide-cuda", "throughput", "single_node_dep", "DP8+EP", 8, "winner",
    "1.10 times TP8 [1.09, 1.11]", "2026-11-27T10:00:00+00:00", ("r1", "r2"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path


def test_it_is_found_for_the_same_subject() -> None:
    save(BEST)
    assert find(SUBJECT) == BEST
    assert find(SUBJECT, Goal.THROUGHPUT) == BEST
    assert find(SUBJECT, Goal.LATENCY) is None


@pytest.mark.parametrize(
    "other",
    [
        {"commit": "c" * 40}, {"variant": "fp8"}, {"hardware": "h100"}, {"gpus": 4}, {"image": "sha256:other"},
        {"model": "MiniMaxAI/MiniMax-M2.1"}, {"settings": ("--max-num-seqs=8",)},
    ],
)  # fmt: skip
def test_it_says_nothing_of_other_weights_hardware_or_images(other: dict[str, object]) -> None:
    save(BEST)
    assert find(replace(SUBJECT, **other)) is None  # type: ignore[arg-type]


def test_the_newest_of_several_goals_counts() -> None:
    save(BEST)
    save(newer := replace(BEST, goal="latency", layout="TP8", time="2026-11-28T10:00:00+00:00"))
    assert find(SUBJECT) == newer
    assert find(SUBJECT, Goal.THROUGHPUT) == BEST


def test_a_part_of_a_preset_does_not_replace_the_full_one() -> None:
    save(BEST)
    save(replace(BEST, scale=0.1, layout="TP1", time="2026-11-28T10:00:00+00:00"))
    assert find(SUBJECT) == BEST


def test_settings_are_found_again() -> None:
    save(BEST)
    save(other := replace(BEST, subject=replace(SUBJECT, settings=("--a=1", "--b=2"))))
    assert find(other.subject) == other
    assert find(SUBJECT) == BEST


def test_a_damaged_file_counts_as_none(state: Path) -> None:
    path = save(BEST)
    path.write_text('{"subject": ')
    assert find(SUBJECT) is None
