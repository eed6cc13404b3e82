"""The access of a started container, compared with its plan."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed
from launch.engine.verify_access import check_access, missing_gpus
from launch.spec.plan import Container, Layout, Mount, Plan, Process, Tmpfs

UUIDS = ("GPU-0", "GPU-1")
NVIDIA = ("nvidia.com/gpu=GPU-0", "nvidia.com/gpu=GPU-1")
AMD = ("amd.com/gpu=0", "amd.com/gpu=1")
NODES = ("/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD136")


def plan(platform: str, **container: Any) -> Plan:
    process = Process("server", 0, ("vllm", "serve", "m"))
    planned = Container(**container)
    return Plan("m", platform, "i:1", "0.32.0", "single_node_tp", Layout(tp=2), (process,), planned)


@pytest.mark.parametrize(
    ("plan", "names", "missing"),
    [
        (plan("cuda", gpu_ids=UUIDS), "null nvidia0 nvidiactl", []),
        (plan("cuda", gpu_ids=UUIDS), "null nvidiactl nvidia-uvm", ["1 of 1 GPU by name"]),
        (plan("cuda", cdi=NVIDIA), "nvidia3 nvidia7 nvidiactl", []),
        (plan("cuda", cdi=NVIDIA), "nvidia3 nvidiactl", ["1 of 2 GPUs by name"]),
        (plan("cuda", cdi=NVIDIA), "null zero", ["2 of 2 GPUs by name"]),
        (plan("cuda", cdi=NVIDIA), "null dxg", []),
        (plan("rocm", cdi=AMD), "kfd renderD130 renderD131 card1", []),
        (plan("rocm", cdi=AMD), "renderD130 renderD131", ["/dev/kfd"]),
        (plan("rocm", cdi=AMD), "kfd card1", ["2 of 2 GPUs by name"]),
        (plan("rocm", devices=NODES), "kfd renderD128 renderD136", []),
        (plan("rocm", devices=NODES), "kfd renderD128", ["/dev/dri/renderD136"]),
    ],
)
def test_missing_gpus(plan: Plan, names: str, missing: list[str]) -> None:
    assert missing_gpus(plan, set(names.split())) == missing


class Engine:
    """An engine on which a command in the container prints this output."""

    def __init__(self, output: str = "", status: int = 0) -> None:
        self.api, self._output, self._status = self, output, status

    def exec_create(self, container: str, argv: list[str]) -> dict[str, str]:
        return {"Id": "x"}

    def exec_start(self, created: str, stream: bool) -> list[bytes]:
        return [self._output.encode()]

    def exec_inspect(self, created: str) -> dict[str, int]:
        return {"ExitCode": self._status}


def check(plan: Plan, output: str = "", status: int = 0, container: str = "running", shm: int = 0) -> None:
    attrs = {"HostConfig": {"ShmSize": shm}}
    started: Any = SimpleNamespace(id="x", name="server", status=container, attrs=attrs, reload=lambda: None)
    engine: Any = Engine(output, status)
    check_access(engine, started, plan)


def test_check_access_fails_if_podman_ignored_the_cdi_names() -> None:
    with pytest.raises(Failed, match="server started without its GPUs") as failure:
        check(plan("cuda", cdi=NVIDIA), "null\nzero\n", status=2)
    assert "podman 5.4 or later" in failure.value.fix


def test_check_access_accepts_an_image_without_ls_and_a_container_that_exited() -> None:
    check(plan("rocm", devices=NODES), "ls: not found", status=127)
    check(plan("cuda", cdi=NVIDIA), container="exited")


def test_check_access_compares_the_size_of_shared_memory() -> None:
    planned = plan("cpu", shm_bytes=1 << 30)
    check(planned, shm=1 << 30)
    with pytest.raises(Failed, match="the size of /dev/shm"):
        check(planned, shm=64 << 20)
    check(replace(planned, container=Container()), shm=64 << 20)


MOUNTS = (Mount("/home/me/hub", "/hub"), Mount("/home/me/slipway", "/cache", read_only=False))
READ_ONLY = plan("cpu", read_only=True, tmpfs=(Tmpfs("/tmp", 1 << 30),), mounts=MOUNTS, user="1000:1000")


def test_check_access_accepts_a_read_only_root_with_its_writable_folders() -> None:
    check(READ_ONLY, "/cache\n/tmp\n/dev/shm\n")


def test_check_access_fails_if_the_engine_left_the_root_writable() -> None:
    with pytest.raises(Failed, match="the root file system of server is writable"):
        check(READ_ONLY, "/\n/cache\n/tmp\n/dev/shm\n")


def test_check_access_names_the_folder_of_the_host_that_the_server_cannot_write_to() -> None:
    with pytest.raises(Failed, match="server cannot write to '/cache'") as failure:
        check(READ_ONLY, "/tmp\n/dev/shm\n")
    assert "user 1000:1000 may not write to '/home/me/slipway' on the host" in failure.value.why
    assert failure.value.fix == "sudo chown -R 1000:1000 /home/me/slipway"


def test_check_access_fails_if_a_folder_in_memory_is_missing() -> None:
    with pytest.raises(Failed, match="server cannot write to '/tmp'"):
        check(READ_ONLY, "/cache\n/dev/shm\n")


@pytest.mark.parametrize("status", [126, 127, 137])
def test_check_access_says_nothing_of_folders_that_it_could_not_test(status: int) -> None:
    check(READ_ONLY, "", status)


def test_check_access_leaves_a_writable_root_alone() -> None:
    check(plan("cpu", mounts=MOUNTS), "/\n")
