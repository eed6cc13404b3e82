"""NVIDIA hosts that a library of our own plays: what it says comes out as facts."""

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]
H200 = "NVIDIA H200;90;143771;4;1;ok"


def test_eight_h200_reach_each_other(nvidia_host: Ask) -> None:
    seen = nvidia_host(*[H200] * 8)
    gpu = seen["gpus"][2]
    assert (seen["driver"], seen["runtime"], len(seen["gpus"])) == ("580.65.06", "13.0", 8)
    assert (gpu["hardware"], gpu["arch"], gpu["memory"] >> 20) == ("h200", "sm_90", 143771)
    assert gpu["links"] == [0, 1, 3, 4, 5, 6, 7]
    assert gpu["uuid"] == "GPU-00000000-0000-0000-0000-000000000002"
    assert (gpu["pci"], gpu["ecc"], gpu["mig"]) == ("0000:12:00.0", True, False)


def test_a100_in_bridged_pairs(nvidia_host: Ask) -> None:
    pairs = [f"NVIDIA A100 80GB PCIe;80;81920;1;{group};ok" for group in (1, 1, 2, 2)]
    gpus = nvidia_host(*pairs)["gpus"]
    assert [gpu["links"] for gpu in gpus] == [[1], [0], [3], [2]]
    assert {gpu["hardware"] for gpu in gpus} == {"a100"}


def test_mixed_cards_keep_their_own_names(nvidia_host: Ask) -> None:
    gpus = nvidia_host(H200, "NVIDIA GeForce RTX 3090;86;24576;9;0;ok")["gpus"]
    assert [gpu["hardware"] for gpu in gpus] == ["h200", ""]
    assert (gpus[1]["name"], gpus[1]["arch"]) == ("NVIDIA GeForce RTX 3090", "sm_86")


def test_a_lost_gpu_does_not_take_the_others_along(nvidia_host: Ask) -> None:
    seen = nvidia_host(H200, H200.replace("ok", "lost"), H200)
    assert [bool(gpu["problem"]) for gpu in seen["gpus"]] == [False, True, False]
    assert seen["problems"] == ["GPU 1: NVML says: GPU is lost"]
    assert seen["gpus"][0]["links"] == [2]


def test_a_gpu_without_a_handle_is_still_counted(nvidia_host: Ask) -> None:
    seen = nvidia_host(H200, H200.replace("ok", "gone"))
    assert [gpu["index"] for gpu in seen["gpus"]] == [0, 1]
    assert "lost" in seen["gpus"][1]["problem"]


def test_who_holds_the_memory(nvidia_host: Ask) -> None:
    (gpu,) = nvidia_host("NVIDIA H20;90;97871;70000;0;busy")["gpus"]
    assert gpu["used"] >> 20 == 70000
    assert [(p["pid"], p["memory"] >> 20) for p in gpu["processes"]] == [(1, 70000)]


def test_mig_is_seen(nvidia_host: Ask) -> None:
    (gpu,) = nvidia_host("NVIDIA A100-SXM4-80GB;80;81920;1;0;mig")["gpus"]
    assert gpu["mig"] is True


@pytest.mark.parametrize(("status", "says"), [("9", "NVML"), ("18", "NVML"), ("999", "NVML")])
def test_a_driver_that_cannot_be_asked_is_a_problem(nvidia_host: Ask, status: str, says: str) -> None:
    seen = nvidia_host(NVML_INIT=status)
    assert seen["gpus"] == []
    assert [problem.startswith(says) for problem in seen["problems"]] == [True]


def test_no_driver_is_no_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import pynvml

    from launch.hardware import nvidia

    def no_library() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    assert nvidia.read(tmp_path).problems == ()
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    (tmp_path / "sys/module/nvidia/version").write_text("580.65.06\n")
    assert nvidia.read(tmp_path).driver == "580.65.06"
    assert nvidia.read(tmp_path).problems != ()
