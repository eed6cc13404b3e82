"""Apply the change of a diagnosis to a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from errors import Refused
from launch.diagnosis.apply_fix import apply_fix
from launch.diagnosis.diagnose import Diagnosis
from launch.diagnosis.rules import load_rules
from launch.spec.plan import AUTO_PORT, Plan
from tests.unit.launch.plan_builders import plan

GRAPHS = {"set": {"--compilation-config": '{"cudagraph_mode": "PIECEWISE"}'}}


def diagnosis(change: dict[str, Any] | None) -> Diagnosis:
    return Diagnosis("a-cause", "something was wrong", change=change, safe=True, known=True, source="1234")


def command_of(made: Plan) -> str:
    return " ".join(made.processes[0].argv)


def test_apply_fix_sets_an_option_once_and_adds_the_reason() -> None:
    made = apply_fix(plan(max_model_len=4096), diagnosis({"set": {"--max-model-len": "1920"}}))
    assert command_of(made).count("--max-model-len") == 1
    assert command_of(made).endswith("--max-model-len 1920")
    assert made.reasons[-1].item == "--max-model-len 1920"
    assert made.reasons[-1].source == "fix: a-cause (1234)"
    assert made.notes[-1] == "changed after a failed start: --max-model-len 1920: something was wrong"


def test_apply_fix_twice_changes_the_plan_once() -> None:
    before = plan(gpus=4)
    once = apply_fix(before, diagnosis(GRAPHS))
    assert once.digest != before.digest
    assert apply_fix(once, diagnosis(GRAPHS)) is once


def test_apply_fix_merges_json_options() -> None:
    before = plan(settings=(("--compilation-config", '{"cudagraph_mode": "FULL", "mode": 3}'),))
    after = apply_fix(before, diagnosis(GRAPHS)).processes[0].argv
    assert after[after.index("--compilation-config") + 1] == '{"cudagraph_mode": "PIECEWISE", "mode": 3}'


def test_apply_fix_lowers_utilization_from_the_default_or_the_plan() -> None:
    lower = diagnosis({"lower": {"--gpu-memory-utilization": "0.05"}})
    once = apply_fix(plan(), lower)
    assert command_of(once).endswith("--gpu-memory-utilization 0.87")
    assert command_of(apply_fix(once, lower)).endswith("--gpu-memory-utilization 0.82")


def test_apply_fix_lowers_utilization_down_to_the_minimum() -> None:
    low = plan(settings=(("--gpu-memory-utilization", "0.52"),))
    assert apply_fix(low, diagnosis({"lower": {"--gpu-memory-utilization": "0.05"}})) is low


def test_apply_fix_publishes_another_port_of_the_host() -> None:
    moved = apply_fix(plan(port=8000), diagnosis({"port": True}))
    assert (moved.container.ports[0].host, moved.container.ports[0].container) == (8001, 8000)
    assert apply_fix(plan(port=8000), diagnosis({"port": True}), port=9123).container.ports[0].host == 9123


def test_apply_fix_leaves_a_port_that_is_chosen_at_the_start() -> None:
    auto = plan(port=AUTO_PORT)
    assert apply_fix(auto, diagnosis({"port": True})) is auto


def test_apply_fix_changes_the_port_of_the_server_on_the_host_network() -> None:
    before = plan()
    before = replace(before, container=replace(before.container, ports=(), network="host"))
    assert command_of(apply_fix(before, diagnosis({"port": True}))).endswith("--port 8001")


def test_apply_fix_never_shrinks_shared_memory() -> None:
    small = replace(plan(), container=replace(plan().container, shm_bytes=2**26))
    assert apply_fix(small, diagnosis({"shm": 2**34})).container.shm_bytes == 2**34
    large = replace(plan(), container=replace(plan().container, shm_bytes=2**35))
    assert apply_fix(large, diagnosis({"shm": 2**34})) is large


def test_apply_fix_removes_an_option_and_adds_an_environment_variable() -> None:
    before = plan(settings=(("--quantization", "awq"),))
    after = apply_fix(before, diagnosis({"unset": ["--quantization"], "env": {"VLLM_ROCM_USE_AITER": "0"}}))
    assert "--quantization" not in command_of(after)
    assert dict(after.processes[0].env)["VLLM_ROCM_USE_AITER"] == "0"
    assert [reason.item for reason in after.reasons[-2:]] == [
        "without --quantization",
        "VLLM_ROCM_USE_AITER=0",
    ]


def test_apply_fix_refuses_no_change_and_a_layout_change() -> None:
    with pytest.raises(Refused, match="no change of the plan fixes"):
        apply_fix(plan(), diagnosis(None))
    with pytest.raises(Refused, match="changes the parallel layout"):
        apply_fix(plan(), diagnosis({"set": {"--tensor-parallel-size": "2"}}))


def test_apply_fix_supports_the_change_of_every_rule() -> None:
    """With a number for each placeholder, every change results in another plan or is a layout change."""
    for rule in load_rules().rules:
        if rule.change is None:
            continue
        change = {kind: _numbered(value) for kind, value in rule.change.items()}
        removed = tuple(word for flag in rule.change.get("unset", ()) for word in (flag, "x"))
        before = plan()
        server = replace(before.processes[0], argv=(*before.processes[0].argv, *removed))
        before = replace(before, processes=(server,), container=replace(before.container, shm_bytes=0))
        try:
            assert apply_fix(before, diagnosis(change)) != before, rule.id
        except Refused as refused:
            assert "changes the parallel layout" in refused.what, rule.id
            assert not rule.safe, rule.id


def _numbered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbered(inner) for key, inner in value.items()}
    return "7" if isinstance(value, str) and value.startswith("<") else value
