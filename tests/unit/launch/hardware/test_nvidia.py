"""NVIDIA hosts, simulated by a stand-in for NVML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Report = Callable[..., dict[str, Any]]
H200 = "NVIDIA H200;90;143771;4;1;ok"


def test_read_eight_joined_h200(nvidia_host: Report) -> None:
    report = nvidia_host(*[H200] * 8)
    gpu = report["gpus"][2]
    assert (report["driver"], report["runtime"], len(report["gpus"])) == ("580.65.06", "13.0", 8)
    assert (gpu["hardware"], gpu["arch"], gpu["memory"] >> 20) == ("h200", "sm_90", 143771)
    assert gpu["links"] == [0, 1, 3, 4, 5, 6, 7]
    assert gpu["uuid"] == "GPU-00000000-0000-0000-0000-000000000002"
    assert (gpu["pci"], gpu["ecc"], gpu["mig"]) == ("0000:12:00.0", True, False)


def test_read_a100_in_bridged_pairs(nvidia_host: Report) -> None:
    pairs = [f"NVIDIA A100 80GB PCIe;80;81920;1;{group};ok" for group in (1, 1, 2, 2)]
    gpus = nvidia_host(*pairs)["gpus"]
    assert [gpu["links"] for gpu in gpus] == [[1], [0], [3], [2]]
    assert {gpu["hardware"] for gpu in gpus} == {"a100"}


def test_read_keeps_the_names_of_mixed_cards(nvidia_host: Report) -> None:
    gpus = nvidia_host(H200, "NVIDIA GeForce RTX 3080;86;10240;9;0;ok")["gpus"]
    assert [gpu["hardware"] for gpu in gpus] == ["h200", ""]
    assert (gpus[1]["name"], gpus[1]["arch"]) == ("NVIDIA GeForce RTX 3080", "sm_86")


def test_read_reports_a_lost_gpu_and_the_others(nvidia_host: Report) -> None:
    report = nvidia_host(H200, H200.replace("ok", "lost"), H200)
    assert [bool(gpu["problem"]) for gpu in report["gpus"]] == [False, True, False]
    assert report["problems"] == ["GPU 1: NVML reports: GPU is lost"]
    assert report["gpus"][0]["links"] == [2]


def test_read_counts_a_gpu_without_a_handle(nvidia_host: Report) -> None:
    report = nvidia_host(H200, H200.replace("ok", "gone"))
    assert [gpu["index"] for gpu in report["gpus"]] == [0, 1]
    assert "lost" in report["gpus"][1]["problem"]


def test_read_lists_processes_that_use_memory(nvidia_host: Report) -> None:
    (gpu,) = nvidia_host("NVIDIA H20;90;97871;70000;0;busy")["gpus"]
    assert gpu["used"] >> 20 == 70000
    assert [(p["pid"], p["memory"] >> 20) for p in gpu["processes"]] == [(1, 70000)]


def test_read_reports_mig(nvidia_host: Report) -> None:
    (gpu,) = nvidia_host("NVIDIA A100-SXM4-80GB;80;81920;1;0;mig")["gpus"]
    assert gpu["mig"] is True


@pytest.mark.parametrize("status", ["9", "18", "999"])
def test_read_reports_a_driver_error(nvidia_host: Report, status: str) -> None:
    report = nvidia_host(NVML_INIT=status)
    assert report["gpus"] == []
    assert [problem.startswith("NVML") for problem in report["problems"]] == [True]


def test_read_without_a_driver_reports_no_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import pynvml  # type: ignore[import-untyped]

    from launch.hardware import nvidia

    def no_library() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    assert nvidia.read(tmp_path).problems == ()
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    (tmp_path / "sys/module/nvidia/version").write_text("580.65.06\n")
    assert nvidia.read(tmp_path).driver == "580.65.06"
    assert nvidia.read(tmp_path).problems != ()
