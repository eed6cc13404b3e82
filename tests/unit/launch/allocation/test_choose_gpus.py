"""The choice of GPUs, and the messages if there are too few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Failed, Refused
from launch.allocation.choose_gpus import choose, held_by
from launch.allocation.holders import GpuSet, Holder
from launch.allocation.topology import closest_gpus
from launch.hardware.types import Gpu, GpuPartition, GpuProcess

GIB = 2**30


def gpu(index: int, links: tuple[int, ...] = (), numa: int = 0, **facts: Any) -> Gpu:
    h200 = Gpu(
        index, "nvidia", "NVIDIA H200", "h200", uuid=f"GPU-{index}", numa=numa, links=links, memory=140 * GIB
    )
    return replace(h200, **facts)


def switched(count: int = 8) -> list[Gpu]:
    """Return an HGX board: every GPU reaches every other, four below each CPU."""
    return [gpu(i, tuple(j for j in range(count) if j != i), numa=i // 4) for i in range(count)]


def bridged(count: int = 8) -> list[Gpu]:
    """Return bridged pairs, two pairs below each CPU."""
    return [gpu(i, (i ^ 1,), numa=i // 4) for i in range(count)]


def holder(name: str, *gpus: str) -> Holder:
    return Holder(name, GpuSet.of(gpus))


def indices(gpus: tuple[Gpu, ...]) -> list[int]:
    return [one.index for one in gpus]


def test_choose_keeps_four_gpus_below_one_cpu() -> None:
    assert indices(choose(switched(), "4")) == [0, 1, 2, 3]
    assert indices(choose(switched(), "4", [holder("other", "GPU-1")])) == [4, 5, 6, 7]


def test_choose_takes_a_bridged_pair_and_keeps_other_pairs_whole() -> None:
    assert indices(choose(bridged(), "2", [holder("other", "GPU-0")])) == [2, 3]
    # GPU 5 is taken, so taking GPU 4 leaves the other pairs whole.
    assert indices(choose(bridged(), "1", [holder("other", "GPU-5")])) == [4]


def test_choose_takes_a_list_as_given() -> None:
    assert indices(choose(switched(), "6,0")) == [6, 0]
    assert indices(choose(switched(), "3,")) == [3]


@pytest.mark.parametrize("wanted", ["", "0", "-1", "x", "1,x", ",", "1.5", "²", "0,0", "00,0"])
def test_choose_refuses_an_invalid_value(wanted: str) -> None:
    with pytest.raises(Refused, match="--gpus"):
        choose(switched(), wanted)


def test_choose_names_the_holder_of_a_taken_gpu() -> None:
    with pytest.raises(Refused, match="GPU 2 is taken") as refusal:
        choose(switched(), "2,3", [holder("vllm-of-anna", "GPU-2")])
    assert refusal.value.why == "container vllm-of-anna"
    with pytest.raises(Failed, match="--gpus 8: of 8 GPUs, 7") as failure:
        choose(switched(), "8", [holder("vllm-of-anna", "GPU-2")])
    assert failure.value.why == "GPU 2: container vllm-of-anna"


def test_choose_refuses_a_gpu_that_does_not_exist() -> None:
    with pytest.raises(Refused, match="no GPU 8"):
        choose(switched(), "8,9")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"used": 3 * GIB}, "3.0 GiB in use"),
        ({"processes": (GpuProcess(77, "python3", GIB),)}, "process 77 (python3)"),
        ({"problem": "NVML reports: GPU is lost"}, "NVML reports: GPU is lost"),
        ({"mig": True}, "MIG: it is divided into slices"),
        ({"used": 300 << 20}, ""),
    ],
)
def test_held_by_says_why_a_gpu_is_not_free(state: dict[str, Any], reason: str) -> None:
    assert held_by(gpu(0, **state), ()) == reason


def test_choose_does_not_mix_models() -> None:
    mixed = [*switched(2), gpu(2, name="NVIDIA H20"), gpu(3, name="NVIDIA H20"), gpu(4, name="NVIDIA H20")]
    assert indices(choose(mixed, "3")) == [2, 3, 4]
    with pytest.raises(Refused, match="NVIDIA H20 and NVIDIA H200"):
        choose(mixed, "1,2")
    with pytest.raises(Failed, match="--gpus 4: of 5 GPUs, 3 of one model"):
        choose(mixed, "4")


def test_choose_does_not_mix_different_partitions() -> None:
    whole = [Gpu(i, "amd", "MI300X", pci=f"0000:0{i}:00.0", memory=192 << 30) for i in range(2)]
    cut = Gpu(
        2, "amd", "MI300X", pci="0000:02:00.0", memory=192 << 30, parts=(GpuPartition(4), GpuPartition(5))
    )
    with pytest.raises(Refused, match="MI300X and MI300X in 2 partitions"):
        choose([*whole, cut], "1,2")
    assert indices(choose([*whole, cut], "2")) == [0, 1]


def test_held_by_knows_partitions_by_render_node() -> None:
    parts = tuple(GpuPartition(node, f"/dev/dri/renderD{126 + node}") for node in range(2, 10))
    card = Gpu(0, "amd", pci="0000:05:00.0", parts=parts)
    assert held_by(card, [holder("x", "/dev/dri/renderD130")]) == "container x"
    assert held_by(card, [holder("x", "/dev/dri/renderD140")]) == ""
    # A plain number is an NVIDIA index.
    assert held_by(card, [holder("x", "0")]) == ""


def test_held_by_knows_amd_cards_by_cdi_name() -> None:
    parts = tuple(
        GpuPartition(node, f"/dev/dri/renderD{126 + node}", cdi=f"amd.com/gpu={node}") for node in (2, 3)
    )
    card = Gpu(0, "amd", pci="0000:05:00.0", parts=parts, cdi="amd.com/gpu=7")
    assert held_by(card, [holder("x", "amd.com/gpu=3")]) == "container x"
    assert held_by(card, [holder("x", "amd.com/gpu=7")]) == "container x"
    assert held_by(card, [holder("x", "amd.com/gpu=0", "mellanox.com/net=2", "")]) == ""


@given(st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8), st.booleans())
def test_closest_gpus_takes_free_gpus_and_whole_pairs(free: set[int], count: int, paired: bool) -> None:
    host = [one for one in (bridged() if paired else switched()) if one.index in free]
    if count > len(host):
        return
    chosen = closest_gpus(host, count)
    assert len({one.index for one in chosen} & free) == count
    pairs = sum(len({one.index, one.index ^ 1} & free) == 2 for one in host) // 2
    if paired and count % 2 == 0 and count // 2 <= pairs:
        assert all(one.index ^ 1 in indices(chosen) for one in chosen)
