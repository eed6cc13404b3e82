"""Who gets which GPU, and who is named when there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Failed, Refused
from launch.allocation.gpus import Holder, choose, held_by, holder_of
from launch.allocation.topology import nearest
from launch.hardware.types import Gpu, Part, Process

GIB = 2**30


def gpu(index: int, links: tuple[int, ...] = (), numa: int = 0, **facts: object) -> Gpu:
    made = Gpu(
        index, "nvidia", "NVIDIA H200", "h200", uuid=f"GPU-{index}", numa=numa, links=links, memory=140 * GIB
    )
    return replace(made, **facts)  # type: ignore[arg-type]


def switched(count: int = 8) -> list[Gpu]:
    """All reach all, four below each CPU: an HGX board."""
    return [gpu(i, tuple(j for j in range(count) if j != i), numa=i // 4) for i in range(count)]


def bridged(count: int = 8) -> list[Gpu]:
    """Pairs behind a bridge, two pairs below each CPU."""
    return [gpu(i, (i ^ 1,), numa=i // 4) for i in range(count)]


def indices(gpus: tuple[Gpu, ...]) -> list[int]:
    return [one.index for one in gpus]


def test_four_of_eight_stay_below_one_cpu() -> None:
    assert indices(choose(switched(), "4")) == [0, 1, 2, 3]
    assert indices(choose(switched(), "4", [Holder("other", ("GPU-1",))])) == [4, 5, 6, 7]


def test_two_take_a_bridged_pair_and_leave_the_others_whole() -> None:
    assert indices(choose(bridged(), "2", [Holder("other", ("GPU-0",))])) == [2, 3]
    # GPU 5 is held: its neighbour 4 is the one whose loss breaks no pair.
    assert indices(choose(bridged(), "1", [Holder("other", ("GPU-5",))])) == [4]


def test_a_named_list_is_taken_as_it_is() -> None:
    assert indices(choose(switched(), "6,0")) == [6, 0]
    assert indices(choose(switched(), "3,")) == [3]


@pytest.mark.parametrize("wanted", ["", "0", "-1", "x", "1,x", ",", "1.5", "²", "0,0", "00,0"])
def test_what_is_no_number_and_no_list_is_refused(wanted: str) -> None:
    with pytest.raises(Refused, match="--gpus"):
        choose(switched(), wanted)


def test_the_holder_is_named() -> None:
    with pytest.raises(Refused, match="GPU 2 is taken") as refusal:
        choose(switched(), "2,3", [Holder("vllm-of-anna", ("GPU-2",))])
    assert refusal.value.why == "container vllm-of-anna"
    with pytest.raises(Failed, match="8 GPUs are wanted, 7") as failure:
        choose(switched(), "8", [Holder("vllm-of-anna", ("GPU-2",))])
    assert failure.value.why == "GPU 2: container vllm-of-anna"


def test_a_gpu_that_is_not_here_is_refused() -> None:
    with pytest.raises(Refused, match="no GPU 8"):
        choose(switched(), "8,9")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"used": 3 * GIB}, "3.0 GiB in use"),
        ({"processes": (Process(77, "python3", GIB),)}, "process 77 (python3)"),
        ({"problem": "NVML says: GPU is lost"}, "NVML says: GPU is lost"),
        ({"mig": True}, "MIG: it is cut into slices"),
        ({"used": 300 << 20}, ""),
    ],
)
def test_a_gpu_that_is_not_free_says_why(state: dict[str, Any], says: str) -> None:
    assert held_by(gpu(0, **state), ()) == says


def test_models_are_not_mixed() -> None:
    mixed = [*switched(2), gpu(2, name="NVIDIA H20"), gpu(3, name="NVIDIA H20"), gpu(4, name="NVIDIA H20")]
    assert indices(choose(mixed, "3")) == [2, 3, 4]
    with pytest.raises(Refused, match="NVIDIA H20 and NVIDIA H200"):
        choose(mixed, "1,2")
    with pytest.raises(Failed, match="3 of one model free"):
        choose(mixed, "4")


def test_cards_cut_differently_are_not_mixed() -> None:
    whole = [Gpu(i, "amd", "MI300X", pci=f"0000:0{i}:00.0", memory=192 << 30) for i in range(2)]
    cut = Gpu(2, "amd", "MI300X", pci="0000:02:00.0", memory=192 << 30, parts=(Part(4), Part(5)))
    with pytest.raises(Refused, match="MI300X and MI300X in 2 partitions"):
        choose([*whole, cut], "1,2")
    assert indices(choose([*whole, cut], "2")) == [0, 1]


def test_a_partitioned_card_is_held_by_any_of_its_parts() -> None:
    parts = tuple(Part(node, f"/dev/dri/renderD{126 + node}") for node in range(2, 10))
    card = Gpu(0, "amd", pci="0000:05:00.0", parts=parts)
    assert held_by(card, [Holder("x", ("/dev/dri/renderD130",))]) == "container x"
    assert held_by(card, [Holder("x", ("/dev/dri/renderD140",))]) == ""
    # A bare number is an NVIDIA index and says nothing about an AMD card.
    assert held_by(card, [Holder("x", ("0",))]) == ""


def test_an_amd_card_is_held_by_the_names_of_its_spec() -> None:
    parts = tuple(Part(node, f"/dev/dri/renderD{126 + node}", cdi=f"amd.com/gpu={node}") for node in (2, 3))
    card = Gpu(0, "amd", pci="0000:05:00.0", parts=parts, cdi="amd.com/gpu=7")
    assert held_by(card, [Holder("x", ("amd.com/gpu=3",))]) == "container x"
    assert held_by(card, [Holder("x", ("amd.com/gpu=7",))]) == "container x"
    assert held_by(card, [Holder("x", ("amd.com/gpu=0", "mellanox.com/net=2", ""))]) == ""


@pytest.mark.parametrize(
    ("host", "config", "gpus"),
    [
        ({"DeviceRequests": [{"DeviceIDs": ["GPU-1", "2"], "Count": 0}]}, {}, ("GPU-1", "2")),
        ({"DeviceRequests": [{"Count": -1}]}, {}, ("all",)),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]}, {}, ("0",)),
        (
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-3", "amd.com/gpu=1"]}]},
            {},
            ("GPU-3", "amd.com/gpu=1"),
        ),
        # Older spellings, and slices of a GPU; numbers of other vendors' devices are nobody's GPU.
        (
            {
                "DeviceRequests": [
                    {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=gpu2", "nvidia.com/gpu=4:1"]}
                ]
            },
            {},
            ("2", "4"),
        ),
        (
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["mellanox.com/net=0"]}]},
            {},
            ("mellanox.com/net=0",),
        ),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["amd.com/gpu=all"]}]}, {}, ("all",)),
        (
            {"Devices": [{"PathOnHost": "/dev/kfd"}, {"PathOnHost": "/dev/dri/renderD129"}]},
            {},
            ("/dev/dri/renderD129",),
        ),
        ({"Devices": [{"PathOnHost": "/dev/dri"}]}, {}, ("all",)),
        ({"Runtime": "nvidia"}, {"Env": ["NVIDIA_VISIBLE_DEVICES=0,1"]}, ("0", "1")),
        ({"Runtime": "nvidia"}, {"Env": ["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=1"]}, ("1",)),
        ({"Runtime": "runc"}, {"Env": ["NVIDIA_VISIBLE_DEVICES=all"]}, ()),
        ({"Runtime": "amd"}, {"Env": ["AMD_VISIBLE_DEVICES=0,2"]}, ("amd.com/gpu=0", "amd.com/gpu=2")),
        ({"Runtime": "amd"}, {"Env": ["AMD_VISIBLE_DEVICES=all"]}, ("all",)),
        ({}, {"Labels": {"slipway.gpus": "GPU-7"}}, ("GPU-7",)),
        ({}, {"Labels": {"slipway.gpus": "nvidia.com/gpu=GPU-7,amd.com/gpu=2"}}, ("GPU-7", "amd.com/gpu=2")),
        ({"DeviceRequests": None, "Devices": None}, {"Labels": None, "Env": None}, ()),
    ],
)
def test_what_a_container_was_given(
    host: dict[str, object], config: dict[str, object], gpus: tuple[str, ...]
) -> None:
    assert holder_of({"Name": "/x", "HostConfig": host, "Config": config}) == Holder("x", gpus)


@given(st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8), st.booleans())
def test_any_choice_is_of_free_gpus_and_whole_pairs(free: set[int], count: int, paired: bool) -> None:
    host = [one for one in (bridged() if paired else switched()) if one.index in free]
    if count > len(host):
        return
    chosen = nearest(host, count)
    assert len({one.index for one in chosen} & free) == count
    pairs = sum(len({one.index, one.index ^ 1} & free) == 2 for one in host) // 2
    if paired and count % 2 == 0 and count // 2 <= pairs:
        assert all(one.index ^ 1 in indices(chosen) for one in chosen)
