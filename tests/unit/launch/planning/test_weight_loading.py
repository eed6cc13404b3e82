"""When the plan lets vLLM read the weights in order and ahead."""

from __future__ import annotations

from typing import Any

import pytest

from launch.planning.weight_loading import network_file_systems
from launch.spec.inputs import WeightStorage
from tests.unit.launch.plan_builders import M2, command, plan, why

FLAG = "--safetensors-load-strategy"


def on(file_system: str, weights: float = 230, memory: float = 2000, **options: Any) -> str:
    storage = WeightStorage(file_system, weights, memory)
    return command(plan(M2, "h200", 4, facts={"storage": storage}, **options))


@pytest.mark.parametrize("file_system", sorted(network_file_systems()))
def test_a_network_file_system_is_read_in_order(file_system: str) -> None:
    assert f"{FLAG} prefetch" in on(file_system)


def test_the_reason_names_the_file_system_and_the_source() -> None:
    made = plan(M2, "h200", 4, facts={"storage": WeightStorage("ceph", 230, 2000)})
    assert why(made, FLAG) == (
        "the weights are on ceph: they are read in order, not by page faults "
        "[rule: network file systems (coreutils src/stat.c, remote file systems)]"
    )


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"file_system": "ext4"},
        {"file_system": "nfs4", "memory": 250},  # 230 GiB are more than 90 % of it
        {"file_system": "nfs4", "vllm": "0.23.0"},  # its vocabulary does not list the strategies
    ],
)
def test_nothing_is_added_elsewhere(elsewhere: dict[str, Any]) -> None:
    assert FLAG not in on(**elsewhere)


def test_the_command_of_the_guide_stays_as_it_is() -> None:
    storage = WeightStorage("nfs4", 230, 2000)
    assert FLAG in command(plan(M2, "mi300x", 4, facts={"storage": storage}))
    assert FLAG not in command(plan(M2, "mi300x", 4, facts={"storage": storage}, access="guide"))


def test_the_users_choice_stays() -> None:
    assert f"{FLAG} eager" in on("nfs4", settings=((FLAG, "eager"),))
    assert FLAG not in on("nfs4", settings=(("--load-format", "runai_streamer"),))


def test_a_plan_for_another_machine_does_not_know_its_file_system() -> None:
    assert FLAG not in command(plan(M2, "h200", 4))
