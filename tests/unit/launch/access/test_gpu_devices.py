"""GPUs by CDI name: where the engine has no other way, where the user says so, and never half of them."""

from __future__ import annotations

from typing import Any

import pytest

from errors import Refused
from launch.access.builder import Access
from launch.access.profiles import grant
from launch.spec.inputs import PlanOptions
from tests.unit.launch.plan_builders import M2, TINY, host, recipe

NVIDIA = tuple(f"nvidia.com/gpu=GPU-{index}" for index in range(4))
UUIDS = tuple(f"GPU-{index}" for index in range(4))
AMD = ("amd.com/gpu=3", "amd.com/gpu=5")
NODES = ("/dev/dri/renderD128", "/dev/dri/renderD136")
PODMAN = "podman takes GPUs by CDI name only"


def cuda(way: str = "auto", ranks: int = 4, profile: str = "least", **facts: Any) -> Access:
    machine = host("h200", 4, **{"gpu_ids": UUIDS, "cdi": NVIDIA, **facts})
    return grant(PlanOptions(M2, access=profile, cdi=way), machine, recipe(M2), ranks)


def rocm(way: str = "auto", ranks: int = 2, profile: str = "least", **facts: Any) -> Access:
    given = {"devices": NODES, "groups": ("105",), "seccomp": "/x.json", "cdi": AMD, **facts}
    machine = host("mi300x", len(given["devices"]) or 2, **given)
    return grant(PlanOptions(M2, access=profile, cdi=way), machine, recipe(M2), ranks)


def why(access: Access) -> str:
    return next(f"{reason.why} [{reason.source}]" for reason in access.reasons if reason.item == "gpus")


def test_names_where_the_engine_has_no_other_way() -> None:
    found = cuda(by_cdi=PODMAN)
    assert (found.container.gpu_ids, found.container.cdi) == ((), NVIDIA)
    assert why(found) == f"4 CDI name(s) of nvidia.com/gpu: {PODMAN} [rule: least access]"


def test_without_a_spec_there_is_a_device_request_and_a_warning() -> None:
    found = cuda(by_cdi=PODMAN, cdi=())
    assert (found.container.gpu_ids, found.container.cdi) == (UUIDS, ())
    assert found.notes[-1].startswith(f"{PODMAN}, and no CDI spec names these GPUs: sudo nvidia-ctk cdi")


def test_a_device_request_where_the_engine_serves_one() -> None:
    found = cuda()
    assert (found.container.gpu_ids, found.container.cdi, found.notes) == (UUIDS, (), ())


def test_the_users_word_wins() -> None:
    assert cuda("yes").container.cdi == NVIDIA
    assert why(cuda("yes")).endswith("your word [--cdi yes]")
    found = cuda("no", by_cdi=PODMAN)
    assert (found.container.gpu_ids, found.container.cdi, found.notes) == (UUIDS, (), ())


def test_only_the_gpus_that_are_used() -> None:
    assert cuda("yes", ranks=2).container.cdi == NVIDIA[:2]


def test_rocm_takes_device_nodes_unless_the_user_says_so() -> None:
    assert rocm(by_cdi=PODMAN).container.devices == ("/dev/kfd", *NODES)
    found = rocm("yes").container
    assert (found.devices, found.cdi, found.groups) == ((), AMD, ("105",))
    assert found.security_opt == ("no-new-privileges", "seccomp=/x.json")
    assert why(rocm("yes")) == "2 CDI name(s) of amd.com/gpu: your word [--cdi yes]"


def test_a_name_for_a_whole_card_is_not_taken_for_a_part_of_it() -> None:
    parts = tuple(f"/dev/dri/renderD{128 + part}" for part in range(8))
    card = {"devices": parts, "cdi": ("amd.com/gpu=0",)}
    assert rocm("yes", 8, **card).container.cdi == ("amd.com/gpu=0",)
    with pytest.raises(Refused, match="no CDI spec names these GPUs"):
        rocm("yes", 4, **card)


def test_what_no_spec_names_is_refused() -> None:
    with pytest.raises(Refused, match="no CDI spec names these GPUs") as refusal:
        cuda("yes", cdi=())
    assert refusal.value.why == "no readable spec in /etc/cdi or /var/run/cdi does"
    assert refusal.value.fix.startswith("sudo nvidia-ctk cdi generate")
    with pytest.raises(Refused) as refusal:
        rocm("yes", cdi=(), devices=())
    assert refusal.value.why == "it is planned away from its GPUs"
    assert refusal.value.fix.startswith("sudo amd-ctk cdi generate")


def test_a_cpu_has_nothing_to_name() -> None:
    assert grant(PlanOptions(TINY, cdi="yes"), host("cpu"), recipe(TINY), 1).container.cdi == ()


def test_words_that_are_none_are_refused() -> None:
    with pytest.raises(Refused, match="--cdi value"):
        cuda("always")
    with pytest.raises(Refused, match="--access guide"):
        rocm("yes", profile="guide")


@pytest.mark.parametrize("profile", ["documented", "profiling", "rdma"])
def test_the_other_profiles_keep_the_names(profile: str) -> None:
    found = cuda(profile=profile, by_cdi=PODMAN)
    assert (found.container.cdi, found.container.gpu_ids) == (NVIDIA, ())
    assert PODMAN in why(found)


def test_by_name_no_other_card_is_in_sight_and_none_is_selected() -> None:
    found = rocm("yes", profile="documented", gpu_ids=("GPU-a", "GPU-b"))
    assert (found.container.devices, found.container.cdi) == ((), AMD)
    assert not [setting for setting in found.env if "VISIBLE" in setting.name]
