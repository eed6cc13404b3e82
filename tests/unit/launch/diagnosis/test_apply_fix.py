"""A cure changes the plan, says so, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from errors import Refused
from launch.diagnosis.apply_fix import fixed
from launch.diagnosis.diagnose import Diagnosis
from launch.diagnosis.rules import table
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import plan

GRAPHS = {"set": {"--compilation-config": '{"cudagraph_mode": "PIECEWISE"}'}}


def diagnosis(change: dict[str, Any] | None) -> Diagnosis:
    return Diagnosis("a-cause", "something was wrong", change=change, safe=True, known=True, source="1234")


def served(made: Plan) -> str:
    return " ".join(made.processes[0].argv)


def test_an_option_is_set_once_and_explained() -> None:
    made = fixed(plan(max_model_len=4096), diagnosis({"set": {"--max-model-len": "1920"}}))
    assert served(made).count("--max-model-len") == 1
    assert served(made).endswith("--max-model-len 1920")
    assert made.reasons[-1].item == "--max-model-len 1920"
    assert made.reasons[-1].source == "cure: a-cause (1234)"
    assert made.notes[-1] == "changed after a failed start: --max-model-len 1920: something was wrong"


def test_a_cured_plan_is_another_plan_but_the_same_cure_changes_it_once() -> None:
    before = plan(gpus=4)
    once = fixed(before, diagnosis(GRAPHS))
    assert once.digest != before.digest
    assert fixed(once, diagnosis(GRAPHS)) is once


def test_settings_in_json_are_merged() -> None:
    before = plan(settings=(("--compilation-config", '{"cudagraph_mode": "FULL", "level": 3}'),))
    after = fixed(before, diagnosis(GRAPHS)).processes[0].argv
    assert after[after.index("--compilation-config") + 1] == '{"cudagraph_mode": "PIECEWISE", "level": 3}'


def test_utilization_goes_down_from_what_vllm_takes_or_the_plan_says() -> None:
    lower = diagnosis({"lower": {"--gpu-memory-utilization": "0.05"}})
    once = fixed(plan(), lower)
    assert served(once).endswith("--gpu-memory-utilization 0.87")
    assert served(fixed(once, lower)).endswith("--gpu-memory-utilization 0.82")


def test_utilization_does_not_go_down_for_ever() -> None:
    low = plan(settings=(("--gpu-memory-utilization", "0.52"),))
    assert fixed(low, diagnosis({"lower": {"--gpu-memory-utilization": "0.05"}})) is low


def test_another_port_of_the_host() -> None:
    moved = fixed(plan(port=8000), diagnosis({"port": True}))
    assert (moved.container.ports[0].host, moved.container.ports[0].container) == (8001, 8000)
    assert fixed(plan(port=8000), diagnosis({"port": True}), port=9123).container.ports[0].host == 9123


def test_with_the_host_s_network_the_server_itself_moves() -> None:
    before = plan()
    before = replace(before, container=replace(before.container, ports=(), network="host"))
    assert served(fixed(before, diagnosis({"port": True}))).endswith("--port 8001")


def test_shared_memory_only_grows() -> None:
    small = replace(plan(), container=replace(plan().container, shm_bytes=2**26))
    assert fixed(small, diagnosis({"shm": 2**34})).container.shm_bytes == 2**34
    large = replace(plan(), container=replace(plan().container, shm_bytes=2**35))
    assert fixed(large, diagnosis({"shm": 2**34})) is large


def test_an_option_is_taken_away_and_an_environment_name_added() -> None:
    before = plan(settings=(("--quantization", "awq"),))
    after = fixed(before, diagnosis({"unset": ["--quantization"], "env": {"VLLM_ROCM_USE_AITER": "0"}}))
    assert "--quantization" not in served(after)
    assert dict(after.processes[0].env)["VLLM_ROCM_USE_AITER"] == "0"
    assert [reason.item for reason in after.reasons[-2:]] == [
        "without --quantization",
        "VLLM_ROCM_USE_AITER=0",
    ]


def test_no_change_and_another_layout_are_refused() -> None:
    with pytest.raises(Refused, match="no change of the plan"):
        fixed(plan(), diagnosis(None))
    with pytest.raises(Refused, match="another layout"):
        fixed(plan(), diagnosis({"set": {"--tensor-parallel-size": "2"}}))


def test_every_change_of_the_table_can_be_made() -> None:
    """Each row's change, with a number where the log would give one, makes another plan or is a layout."""
    for row in table().symptoms:
        if row.change is None:
            continue
        change = {kind: _numbered(value) for kind, value in row.change.items()}
        before = plan(settings=tuple((flag, "x") for flag in row.change.get("unset", ())))
        before = replace(before, container=replace(before.container, shm_bytes=0))
        try:
            assert fixed(before, diagnosis(change)) != before, row.id
        except Refused as refused:
            assert "another layout" in refused.what, row.id
            assert not row.safe, row.id


def _numbered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbered(inner) for key, inner in value.items()}
    return "7" if isinstance(value, str) and value.startswith("<") else value
