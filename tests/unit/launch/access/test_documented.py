"""`--access documented`: the container flags of vLLM's documentation."""

from __future__ import annotations

from typing import Any

import pytest

from launch.access.profiles import grant
from launch.access.types import Access
from launch.spec.plan import Mount
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, TINY, host, recipe


def documented(hardware: str, ranks: int = 2, model: str = M2, **facts: Any) -> Access:
    return grant(
        PlanOptions(model, access="documented"), host(hardware, **facts), recipe(model), "0123456789ab", ranks
    )


def test_documented_access_for_rocm() -> None:
    found = documented("mi300x").container
    assert (found.devices, found.groups) == (("/dev/kfd", "/dev/dri"), ("video",))
    assert (found.cap_add, found.security_opt) == (("SYS_PTRACE",), ("seccomp=unconfined",))
    assert (found.ipc, found.shm_bytes, found.privileged) == ("host", 0, False)


def test_documented_access_selects_rocm_gpus_by_uuid() -> None:
    found = documented("mi300x", gpu_ids=("GPU-a", "GPU-b", "GPU-c"), devices=("/dev/dri/renderD128",) * 3)
    chosen = {setting.name: setting.value for setting in found.env if "VISIBLE" in setting.name}
    assert chosen == {"ROCR_VISIBLE_DEVICES": "GPU-a,GPU-b"}


def test_documented_access_keeps_the_gpu_selection_of_cuda() -> None:
    found = documented("h200", gpu_ids=("GPU-a", "GPU-b"))
    assert (found.container.gpu_ids, found.container.ipc) == (("GPU-a", "GPU-b"), "host")
    assert not [setting for setting in found.env if "VISIBLE" in setting.name]


@pytest.mark.parametrize(("hardware", "model"), [("h200", M2), ("mi300x", M2), ("cpu", TINY)])
def test_documented_access_writes_to_a_volume_and_not_to_user_folders(hardware: str, model: str) -> None:
    found = documented(hardware, model=model).container
    assert found.user == ""
    assert found.mounts == (Mount("/home/me/hub", "/hub"), Mount("slipway-cache", "/cache", read_only=False))
    assert [port.host_ip for port in found.ports] == ["127.0.0.1"]


def test_documented_access_names_its_source() -> None:
    reasons = {reason.item: reason.source for reason in documented("mi300x").reasons}
    assert reasons["container"].startswith("docs.vllm.ai")
