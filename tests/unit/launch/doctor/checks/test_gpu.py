"""Checks of processor and GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.doctor.report import run_checks
from launch.hardware.types import Cpu, GpuProcess, Hardware, PciGpu, VendorReport
from tests.unit.launch.doctor.hosts import (
    CPU,
    GIB,
    H200,
    MI300X,
    cpu,
    cuda,
    nvidia,
    only_problem,
    problems,
    rocm,
)  # fmt: skip


@pytest.mark.parametrize(
    ("features", "severity"), [((), "error"), (("avx2",), "warning"), (("avx2", "avx512"), None)]
)
def test_processor_needs_avx2_and_prefers_avx512(features: tuple[str, ...], severity: str | None) -> None:
    found = problems(cpu(hardware=Hardware(replace(CPU, features=features))))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_processor_needs_no_avx_on_arm() -> None:
    assert problems(cpu(hardware=Hardware(Cpu("Neoverse", "aarch64", 64, 64, 1, GIB, GIB)))) == []


def test_present_finds_no_gpu() -> None:
    found = only_problem(cuda(hardware=Hardware(CPU)))
    assert (found.severity, found.what) == ("error", "no NVIDIA GPU")


def test_present_finds_a_gpu_without_a_driver() -> None:
    found = only_problem(cuda(hardware=Hardware(CPU, pci=(PciGpu("0000:05:00.0", "nvidia", 0x2335),))))
    assert "1 NVIDIA device on the PCI bus" in found.what
    assert "modprobe nvidia" in found.fix


def test_present_reports_the_problem_of_a_gpu() -> None:
    seen = VendorReport("nvidia", "580.65.06", "13.0", H200, ("GPU 3: NVML reports: GPU is lost",))
    assert only_problem(cuda(hardware=Hardware(CPU, nvidia=seen))).what == "GPU 3: NVML reports: GPU is lost"


def test_in_use_names_the_process() -> None:
    found = only_problem(cuda(hardware=nvidia(used=30 * GIB, processes=(GpuProcess(7, "python3"),))))
    assert found.what == "GPU 0: 30.0 GiB in use by python3 (7)"


def test_partitions_finds_mig() -> None:
    assert only_problem(cuda(hardware=nvidia(mig=True))).fix == "sudo nvidia-smi -i 0 -mig 0"


def test_same_model_finds_different_models() -> None:
    assert "NVIDIA H20, NVIDIA H200" in only_problem(cuda(hardware=nvidia(name="NVIDIA H20"))).what


def test_same_model_only_informs_about_an_unlisted_gpu() -> None:
    facts = cuda(hardware=nvidia(name="NVIDIA H200", hardware=""))
    assert problems(facts) == []
    assert any("no recipe lists NVIDIA H200" in f.what for f in run_checks(facts))


def test_partitions_finds_amd_partitions() -> None:
    cut = tuple(replace(gpu, partition="CPX", parts=gpu.parts * 8) for gpu in MI300X)
    found = only_problem(rocm(hardware=Hardware(CPU, amd=VendorReport("amd", gpus=cut))))
    assert found.what == "8 cards in mode CPX: 8 devices each"
