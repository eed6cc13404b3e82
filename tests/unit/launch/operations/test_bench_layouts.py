"""Which layouts are measured, and what is checked before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Failed, Refused
from launch.hardware import amd, detect
from launch.hardware.types import Gpu, Hardware, VendorReport
from launch.operations.bench_layouts import check, offer
from launch.operations.compare import smallest_plan
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.hardware.trees import mi300x
from tests.unit.launch.plan_builders import M2, TINY


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))


def host_with(monkeypatch: pytest.MonkeyPatch, hardware: Hardware) -> None:
    monkeypatch.setattr(detect, "detect", lambda: hardware)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def h200(count: int = 8, busy: int = 0) -> Hardware:
    gpus = tuple(
        Gpu(number, "nvidia", "NVIDIA H200", "h200", "sm_90", f"GPU-{number:04}", memory=143771 << 20,
            used=90 << 30 if number < busy else 0)
        for number in range(count)
    )  # fmt: skip
    small = (Gpu(0, "amd", "Radeon", memory=1 << 30),)  # in the processor
    return Hardware(nvidia=VendorReport("nvidia", gpus=gpus), amd=VendorReport("amd", gpus=small))


def counts(options: PlanOptions) -> tuple[int, list[tuple[str, int]]]:
    found = offer(options)
    return found.gpus, [(plan.layout.name, gpus) for plan, gpus in found.layouts]


def test_a_divided_card_is_one_gpu_of_several_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host_with(monkeypatch, Hardware(amd=amd.read(mi300x(tmp_path / "host", partitions=2))))
    gpus, found = counts(PlanOptions(M2))
    assert gpus == 8
    assert found[0] == ("DP16+EP", 8)
    assert ("TP4", 2) in found
    assert smallest_plan(PlanOptions(M2), 1, 1024).layout.gpus == 4


def test_gpus_of_another_vendor_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    host_with(monkeypatch, h200())
    gpus, found = counts(PlanOptions(M2, platform="cuda"))
    assert gpus == 8
    assert found[0] == ("DP8+EP", 8)
    with pytest.raises(Refused, match="this host has NVIDIA and AMD GPUs"):
        offer(PlanOptions(M2))


def test_gpus_in_use_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    host_with(monkeypatch, h200(busy=1))
    gpus, found = counts(PlanOptions(M2, platform="cuda"))
    assert gpus == 4
    assert {count for _, count in found} == {4, 2}
    with pytest.raises(Failed, match="--gpus 8: of 8 GPUs, 7 of one model are free"):
        offer(PlanOptions(M2, platform="cuda", gpus="8"))


def test_the_layouts_are_those_of_all_ranks_and_of_half_of_them_each_once() -> None:
    found = offer(PlanOptions(TINY, platform="cpu", gpus="2"))
    assert found.gpus == 2
    assert [(plan.layout.name, gpus) for plan, gpus in found.layouts] == [
        ("TP2", 2), ("TP2+EP", 2), ("DP2+EP", 2), ("TP1", 1),
    ]  # fmt: skip


def test_a_list_of_gpus_is_refused() -> None:
    with pytest.raises(Refused, match="layouts are compared for a number of GPUs"):
        offer(PlanOptions(TINY, platform="cpu", gpus="0,1"))


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
