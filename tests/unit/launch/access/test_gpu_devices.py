"""How a container gets its GPUs: device requests, device nodes, or CDI names for all of them."""

from __future__ import annotations

from typing import Any

import pytest

from errors import Refused
from launch.access.profiles import grant
from launch.access.types import Access
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, TINY, host, recipe

NVIDIA = tuple(f"nvidia.com/gpu=GPU-{index}" for index in range(4))
UUIDS = tuple(f"GPU-{index}" for index in range(4))
AMD = ("amd.com/gpu=3", "amd.com/gpu=5")
NODES = ("/dev/dri/renderD128", "/dev/dri/renderD136")
PODMAN = "podman takes GPUs by CDI name only"


def cuda(way: str = "auto", ranks: int = 4, profile: str = "least", **facts: Any) -> Access:
    machine = host("h200", 4, **{"gpu_ids": UUIDS, "cdi": NVIDIA, **facts})
    return grant(PlanOptions(M2, access=profile, cdi=way), machine, recipe(M2), "0123456789ab", ranks)


def rocm(way: str = "auto", ranks: int = 2, profile: str = "least", **facts: Any) -> Access:
    facts = {"devices": NODES, "groups": ("105",), "seccomp": "/x.json", "cdi": AMD, **facts}
    machine = host("mi300x", len(facts["devices"]) or 2, **facts)
    return grant(PlanOptions(M2, access=profile, cdi=way), machine, recipe(M2), "0123456789ab", ranks)


def why(access: Access) -> str:
    return next(f"{reason.why} [{reason.source}]" for reason in access.reasons if reason.item == "gpus")


def test_cuda_uses_cdi_names_if_the_engine_needs_them() -> None:
    found = cuda(cdi_reason=PODMAN)
    assert (found.container.gpu_ids, found.container.cdi) == ((), NVIDIA)
    assert why(found) == f"4 CDI names of nvidia.com/gpu: {PODMAN} [rule: least access]"


def test_cuda_without_a_spec_uses_a_device_request_with_a_note() -> None:
    found = cuda(cdi_reason=PODMAN, cdi=())
    assert (found.container.gpu_ids, found.container.cdi) == (UUIDS, ())
    assert found.notes[-1].startswith(f"{PODMAN}, but no CDI spec names these GPUs: sudo nvidia-ctk cdi")


def test_cuda_uses_a_device_request_by_default() -> None:
    found = cuda()
    assert (found.container.gpu_ids, found.container.cdi, found.notes) == (UUIDS, (), ())


def test_cuda_obeys_the_users_cdi_option() -> None:
    assert cuda("yes").container.cdi == NVIDIA
    assert why(cuda("yes")).endswith("set by the user [--cdi yes]")
    found = cuda("no", cdi_reason=PODMAN)
    assert (found.container.gpu_ids, found.container.cdi, found.notes) == (UUIDS, (), ())


def test_cuda_passes_only_the_gpus_in_use() -> None:
    assert cuda("yes", ranks=2).container.cdi == NVIDIA[:2]


def test_rocm_uses_device_nodes_unless_the_user_asks_for_cdi() -> None:
    assert rocm(cdi_reason=PODMAN).container.devices == ("/dev/kfd", *NODES)
    found = rocm("yes").container
    assert (found.devices, found.cdi, found.groups) == ((), AMD, ("105",))
    assert found.security_opt == ("no-new-privileges", "seccomp=/x.json")
    assert why(rocm("yes")) == "2 CDI names of amd.com/gpu: set by the user [--cdi yes]"


def test_rocm_uses_a_name_of_a_card_only_for_the_whole_card() -> None:
    parts = tuple(f"/dev/dri/renderD{128 + part}" for part in range(8))
    card: dict[str, Any] = {"devices": parts, "cdi": ("amd.com/gpu=0",)}
    assert rocm("yes", 8, **card).container.cdi == ("amd.com/gpu=0",)
    with pytest.raises(Refused, match="no CDI spec names these GPUs"):
        rocm("yes", 4, **card)


def test_cdi_yes_without_a_spec_is_refused() -> None:
    with pytest.raises(Refused, match="no CDI spec names these GPUs") as refusal:
        cuda("yes", cdi=())
    assert refusal.value.why == "no readable spec in /etc/cdi or /var/run/cdi does"
    assert refusal.value.fix.startswith("sudo nvidia-ctk cdi generate")
    with pytest.raises(Refused) as refusal:
        rocm("yes", cdi=(), devices=())
    assert refusal.value.why == "the plan is for another machine"
    assert refusal.value.fix.startswith("sudo amd-ctk cdi generate")


def test_cdi_yes_has_no_effect_on_cpu() -> None:
    assert (
        grant(PlanOptions(TINY, cdi="yes"), host("cpu"), recipe(TINY), "0123456789ab", 1).container.cdi == ()
    )


def test_unknown_and_conflicting_cdi_options_are_refused() -> None:
    with pytest.raises(Refused, match="--cdi value"):
        cuda("always")
    with pytest.raises(Refused, match="--access guide"):
        rocm("yes", profile="guide")


@pytest.mark.parametrize("profile", ["documented", "profiling", "rdma"])
def test_other_profiles_keep_cdi_names(profile: str) -> None:
    found = cuda(profile=profile, cdi_reason=PODMAN)
    assert (found.container.cdi, found.container.gpu_ids) == (NVIDIA, ())
    assert PODMAN in why(found)


def test_documented_access_with_cdi_names_selects_no_gpu_again() -> None:
    found = rocm("yes", profile="documented", gpu_ids=("GPU-a", "GPU-b"))
    assert (found.container.devices, found.container.cdi) == ((), AMD)
    assert not [setting for setting in found.env if "VISIBLE" in setting.name]
