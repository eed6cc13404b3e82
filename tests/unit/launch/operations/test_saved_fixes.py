"""Fixes that made a start succeed are applied to the next plan of the same model, image and hardware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launch.diagnosis.types import Diagnosis
from launch.operations import saved_fixes
from launch.planning.vllm_versions import USER
from launch.spec.plan import Container, Layout, Plan, Process, Reason

PLAN = Plan(
    model="m/x", platform="cuda", image="i:1", vllm_version="0.32.0", strategy="single_node_tp",
    hardware="h200",
    layout=Layout(tp=4), processes=(Process("server", 0, ("vllm", "serve", "m/x")),), container=Container(),
)  # fmt: skip
SHORTER = Diagnosis("kv-cache-too-small", "too long", change={"set": {"--max-model-len": "1024"}}, known=True)


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The state folder of this test."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path / "state"


def test_saved_fix_is_in_the_next_plan(state: Path) -> None:
    saved_fixes.save(PLAN, SHORTER)
    fixed = saved_fixes.apply_saved(PLAN)
    assert fixed.processes[0].argv == ("vllm", "serve", "m/x", "--max-model-len", "1024")
    assert "too long" in fixed.notes[-1]


@pytest.mark.parametrize(
    "other", [replace(PLAN, model="m/y"), replace(PLAN, image="i:2"), replace(PLAN, hardware="h100")]
)
def test_saved_fix_is_only_for_its_model_image_and_hardware(other: Plan) -> None:
    saved_fixes.save(PLAN, SHORTER)
    assert saved_fixes.apply_saved(other) == other


def test_saved_fix_does_not_change_an_option_that_the_user_set() -> None:
    saved_fixes.save(PLAN, SHORTER)
    own = replace(PLAN, reasons=(Reason("--max-model-len 2048", "asked for", USER),))
    assert saved_fixes.apply_saved(own) == own


def test_saved_fixes_leave_out_a_port_in_use(state: Path) -> None:
    saved_fixes.save(PLAN, Diagnosis("port-taken", "taken", change={"port": True}))
    assert not state.exists()


def test_saved_fixes_skip_rows_without_their_fields(state: Path) -> None:
    state.mkdir()
    (state / "fixes.jsonl").write_text('not json\n{}\n{"model": "m/x", "image": "i:1", "hardware": "h200"}\n')
    assert saved_fixes.apply_saved(PLAN) == PLAN
