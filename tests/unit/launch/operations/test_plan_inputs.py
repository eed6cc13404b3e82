"""Two servers of one model on one host: each plan gets GPUs that the other server does not have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from errors import Failed, Refused
from launch.allocation.holders import GpuSet, Holder
from launch.operations.plan_inputs import plan_of
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.allocation.test_selected_gpus import h200

FIRST, SECOND = (
    ("GPU-0000", "GPU-0001", "GPU-0002", "GPU-0003"),
    ("GPU-0004", "GPU-0005", "GPU-0006", "GPU-0007"),
)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Holder]]:
    """The containers with GPUs on a host with eight H200."""
    found: list[Holder] = []
    monkeypatch.setattr("launch.engine.client.connect", lambda: None)
    monkeypatch.setattr("launch.engine.client.cdi_reason", lambda client: "")
    monkeypatch.setattr("launch.engine.client.runtime", lambda client: "runc")
    monkeypatch.setattr("launch.allocation.holders.holders", lambda client: tuple(found))
    monkeypatch.setattr("launch.hardware.detect.detect", h200)
    yield found


def made(name: str = "", gpus: str = "4", variant: str = "") -> Plan:
    return plan_of(PlanOptions(gpus=gpus, name=name, variant=variant))


def test_two_replicas_share_no_gpu(running: list[Holder]) -> None:
    first = made()
    running.append(Holder("slipway-minimax-m2", GpuSet.of(first.container.gpu_ids)))
    second = made("replica-2")
    assert (first.container.gpu_ids, second.container.gpu_ids) == (FIRST, SECOND)
    assert (first.layout.tp, second.layout.tp) == (4, 4)
    assert second.container.name == "replica-2"


def test_a_second_server_without_a_number_takes_the_free_gpus(running: list[Holder]) -> None:
    running.append(Holder("slipway-minimax-m2", GpuSet.of(FIRST)))
    assert made("replica-2", gpus="").container.gpu_ids == SECOND


def test_the_same_request_finds_the_gpus_of_its_server(running: list[Holder]) -> None:
    plan = made("replica-2")
    running += [Holder("replica-2", GpuSet.of(plan.container.gpu_ids)), Holder("other", GpuSet.of(SECOND))]
    assert made("replica-2").digest == plan.digest


def test_a_third_server_is_refused_with_what_uses_the_gpus(running: list[Holder]) -> None:
    running += [Holder("replica-1", GpuSet.of(FIRST)), Holder("replica-2", GpuSet.of(SECOND))]
    with pytest.raises(Failed, match="--gpus 4: of 8 GPUs, 0 of one model are free") as failed:
        made("replica-3")
    assert "GPU 0: container replica-1" in failed.value.why
    with pytest.raises(Refused, match="GPU 5 is taken") as refused:
        made("replica-1", gpus="5,")
    assert refused.value.why == "container replica-2"


@pytest.mark.parametrize("name", ["a", "-x", "a b", "a/b", "x" * 41])
def test_a_name_that_an_engine_does_not_accept_is_refused(running: list[Holder], name: str) -> None:
    with pytest.raises(Refused, match="is not a name for a server"):
        made(name)


def test_plan_of_accepts_the_last_part_of_a_name_and_hardware_in_any_case() -> None:
    assert plan_of(PlanOptions("MiniMax-M2", hardware="H200")).model == "MiniMaxAI/MiniMax-M2"
