"""What is looked for inside a started container, by the plan that it was started from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed
from launch.engine.verify_access import check_access, missing_gpus
from launch.spec.plan import Container, Layout, Plan, Process

UUIDS = ("GPU-0", "GPU-1")
NVIDIA = ("nvidia.com/gpu=GPU-0", "nvidia.com/gpu=GPU-1")
AMD = ("amd.com/gpu=0", "amd.com/gpu=1")
NODES = ("/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD136")


def plan(platform: str, **container: Any) -> Plan:
    process = Process("server", 0, ("vllm", "serve", "m"))
    held = Container(**container)
    return Plan("m", platform, "i:1", "0.32.0", "single_node_tp", Layout(tp=2), (process,), held)


@pytest.mark.parametrize(
    ("made", "inside", "missing"),
    [
        (plan("cuda", gpu_ids=UUIDS), "null nvidia0 nvidiactl", []),
        (plan("cuda", gpu_ids=UUIDS), "null nvidiactl nvidia-uvm", ["1 of 1 GPU(s) by name"]),
        (plan("cuda", cdi=NVIDIA), "nvidia3 nvidia7 nvidiactl", []),
        (plan("cuda", cdi=NVIDIA), "nvidia3 nvidiactl", ["1 of 2 GPU(s) by name"]),
        (plan("cuda", cdi=NVIDIA), "null zero", ["2 of 2 GPU(s) by name"]),
        (plan("cuda", cdi=NVIDIA), "null dxg", []),
        (plan("rocm", cdi=AMD), "kfd renderD130 renderD131 card1", []),
        (plan("rocm", cdi=AMD), "renderD130 renderD131", ["/dev/kfd"]),
        (plan("rocm", cdi=AMD), "kfd card1", ["2 of 2 GPU(s) by name"]),
        (plan("rocm", devices=NODES), "kfd renderD128 renderD136", []),
        (plan("rocm", devices=NODES), "kfd renderD128", ["/dev/dri/renderD136"]),
    ],
)
def test_what_is_missing(made: Plan, inside: str, missing: list[str]) -> None:
    assert missing_gpus(made, set(inside.split())) == missing


class Engine:
    """One running container, and what `ls` says in it."""

    def __init__(self, said: str, status: int = 0) -> None:
        self.api, self.said, self.status = self, said, status

    def exec_create(self, container: str, argv: list[str]) -> dict[str, str]:
        return {"Id": "x"}

    def exec_start(self, created: str, stream: bool) -> list[bytes]:
        return [self.said.encode()]

    def exec_inspect(self, created: str) -> dict[str, int]:
        return {"ExitCode": self.status}


def container(status: str = "running", shm: int = 0) -> Any:
    held = {"HostConfig": {"ShmSize": shm}}
    return SimpleNamespace(id="x", name="ours", status=status, attrs=held, reload=lambda: None)


def test_podman_that_ignored_the_names_is_found_out() -> None:
    with pytest.raises(Failed, match="ours started without its GPUs") as failure:
        check_access(Engine("null\nzero\n", 2), container(), plan("cuda", cdi=NVIDIA))
    assert "podman from 5.4 on" in failure.value.fix


def test_an_image_without_ls_and_a_dead_container_are_left_alone() -> None:
    check_access(Engine("ls: not found", 127), container(), plan("rocm", devices=NODES))
    check_access(None, container("exited"), plan("cuda", cdi=NVIDIA))


def test_without_gpus_nothing_is_asked_but_the_size_of_shm() -> None:
    made = plan("cpu", shm_bytes=1 << 30)
    check_access(None, container(shm=1 << 30), made)
    with pytest.raises(Failed, match="another /dev/shm"):
        check_access(None, container(shm=64 << 20), made)
    check_access(None, container(), replace(made, container=Container()))
