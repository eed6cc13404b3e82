"""`invoke gpus`: who uses a GPU."""

from __future__ import annotations

import json

import pytest
from invoke.config import Config
from invoke.context import Context

from commands.host import gpus
from errors import Failed
from launch.allocation.holders import GpuSet, Holder
from launch.hardware.types import Cpu, Gpu, GpuProcess, Hardware, VendorReport

H200 = tuple(Gpu(i, "nvidia", name="NVIDIA H200", hardware="h200", uuid=f"GPU-{i}") for i in range(2))
BUSY = Gpu(2, "nvidia", name="NVIDIA H200", hardware="h200", uuid="GPU-2", processes=(GpuProcess(7, "vllm"),))


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with three GPUs, of which a container has the second."""
    hardware = Hardware(Cpu(), VendorReport("nvidia", "580.65.06", "13.0", (*H200, BUSY)))
    monkeypatch.setattr("launch.hardware.detect.detect", lambda: hardware)
    monkeypatch.setattr("launch.engine.client.connect", lambda timeout: None)
    running = (Holder("replica-1", GpuSet.of(["GPU-1"])),)
    monkeypatch.setattr("launch.allocation.holders.holders", lambda client: running)


def listed(format: str = "text") -> None:
    gpus(Context(Config(defaults={"slipway": {}, "run": {"dry": False}}, lazy=True)), format=format)


def test_gpus_names_the_containers_and_processes_that_use_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    listed()
    _, free, held, busy = (line.split() for line in capsys.readouterr().out.splitlines() if line)
    assert free[-1] == "unknown"
    assert held[-2:] == ["container", "replica-1"]
    assert busy[-2:] == ["vllm", "7"]


def test_gpus_lists_the_containers_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    listed("json")
    assert json.loads(capsys.readouterr().out)["containers"] == {"replica-1": [1]}


def test_gpus_needs_no_engine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def connect(timeout: int) -> None:
        raise Failed("no container engine answers")

    monkeypatch.setattr("launch.engine.client.connect", connect)
    listed()
    assert "container" not in capsys.readouterr().out
