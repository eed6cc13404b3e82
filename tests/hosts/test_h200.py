"""Eight simulated H200, above a stand-in for upstream's image: on podman by CDI name, on Docker by device request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.conftest import NewHost
from tests.hosts.engines import start_docker_with_toolkit, start_podman
from tests.hosts.every_host import Details, EveryHost, inspect
from tests.hosts.gpus import H200, show_h200, uuid
from tests.hosts.simulated_host import SimulatedHost

UUIDS = [uuid(gpu) for gpu in range(8)]


class TestH200OnDocker(EveryHost):
    """Docker with a stand-in for the hook of NVIDIA's container toolkit."""

    heading, platform, gpu = "Eight H200 on Docker", "cuda", "h200"

    @pytest.fixture(scope="class")
    @classmethod
    def host(cls, new_host: NewHost, nvml_library: Path) -> Iterator[SimulatedHost]:
        with new_host("cuda") as one:
            show_h200(one, nvml_library)
            start_docker_with_toolkit(one)
            yield one

    def test_the_container_requests_its_gpus_by_uuid(self, details: Details) -> None:
        (request,) = details["HostConfig"]["DeviceRequests"]
        assert (request["DeviceIDs"], request["Capabilities"]) == (UUIDS, [["gpu"]])
        assert not details["HostConfig"]["Devices"]

    def test_a_server_on_two_gpus_sees_only_these(self, host: SimulatedHost, built: Details) -> None:
        host.invoke("run", "--gpus", "2,5").ok()
        try:
            assert "(stand-in) opened nvidia2, nvidia5\n" in host.invoke("logs").ok().out
        finally:
            host.invoke("stop").ok()

    def test_a_lost_gpu_and_a_busy_one_are_named_and_not_used(self, host: SimulatedHost) -> None:
        lost, busy = H200.replace("ok", "lost"), H200.replace("4;1;ok", "9000;1;busy")
        gpus = "\n".join([H200, lost, busy, *[H200] * 5])
        eight = host.invoke("run", "--gpus", "8", NVML_GPUS=gpus)
        assert eight.code == 1
        assert "GPU 1: NVML reports: GPU is lost; GPU 2: process 1" in eight.err
        host.invoke("run", "--gpus", "4", NVML_GPUS=gpus).ok()
        try:
            opened = inspect(host)["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
            assert len(opened) == 4
            assert not {UUIDS[1], UUIDS[2]} & set(opened)
        finally:
            host.invoke("stop").ok()


class TestH200OnPodman(EveryHost):
    """podman with a CDI spec."""

    heading, platform, gpu = "Eight H200 on Podman", "cuda", "h200"
    inspect_command = "podman inspect"

    @pytest.fixture(scope="class")
    @classmethod
    def host(cls, new_host: NewHost, nvml_library: Path) -> Iterator[SimulatedHost]:
        with new_host("cuda") as one:
            show_h200(one, nvml_library)
            start_podman(one)
            yield one

    def test_the_server_has_the_gpus_of_the_cdi_names(self, details: Details) -> None:
        names = details["Config"]["Labels"]["slipway.gpus"].split(",")
        assert names == [f"nvidia.com/gpu={name}" for name in UUIDS]
