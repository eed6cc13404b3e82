"""The GPUs that running containers have, from the engine's data."""

from __future__ import annotations

from typing import Any

import pytest

from launch.allocation.holders import GpuSet, Holder, holder_of


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
        # Older spellings, and slices of a GPU.
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
            (),
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
def test_holder_of_reads_the_gpus_of_a_container(
    host: dict[str, Any], config: dict[str, Any], gpus: tuple[str, ...]
) -> None:
    assert holder_of({"Name": "/x", "HostConfig": host, "Config": config}) == Holder("x", GpuSet.of(gpus))


def test_gpu_set_ignores_ids_of_other_devices() -> None:
    assert not GpuSet.of(["", "/dev/kfd", "/dev/dri/card0", "mellanox.com/net=0"])
