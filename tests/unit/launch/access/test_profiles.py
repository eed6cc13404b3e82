"""The default access profile, and what each wider profile adds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from errors import Refused
from launch.access.profiles import grant
from launch.access.types import Access
from launch.engine.verify_access import writable_folders
from launch.spec.plan import Mount, Port, Tmpfs
from launch.spec.plan_options import PlanOptions
from tests.conftest import ROOT
from tests.unit.launch.plan_builders import M2, host, plan, recipe

GIB = 2**30
IMAGE = "0123456789ab"
PROFILES = ("least", "documented", "profiling", "rdma")


def access(hardware: str = "h200", ranks: int = 4, profile: str = "least", **facts: Any) -> Access:
    return grant(PlanOptions(M2, access=profile), host(hardware, **facts), recipe(M2), IMAGE, ranks)


def test_least_has_no_capability_no_root_and_only_a_loopback_port() -> None:
    found = access().container
    assert (found.cap_add, found.cap_drop, found.privileged) == ((), ("ALL",), False)
    assert (found.user, found.ipc, found.network) == ("1000:1000", "", "")
    assert found.ports == (Port("127.0.0.1", 8000, 8000),)
    assert found.mounts == (
        Mount("/home/me/hub", "/hub"),
        Mount("/home/me/slipway/0123456789ab", "/cache", read_only=False),
    )


def test_least_passes_only_the_gpus_in_use() -> None:
    assert access(ranks=4).container.gpu_ids == ("0", "1", "2", "3")
    assert access(ranks=8).container.gpu_ids == ("all",)
    assert access(ranks=2, gpu_ids=("GPU-a", "GPU-b", "GPU-c")).container.gpu_ids == ("GPU-a", "GPU-b")


def test_least_passes_render_nodes_and_numeric_groups_of_amd_gpus() -> None:
    nodes = ("/dev/dri/renderD128", "/dev/dri/renderD136", "/dev/dri/renderD144")
    found = access("mi300x", 2, devices=nodes, groups=("44", "105"))
    assert found.container.devices == ("/dev/kfd", *nodes[:2])
    assert found.container.groups == ("44", "105")
    assert found.notes == ()


def test_least_for_another_machine_passes_all_render_nodes_with_a_note() -> None:
    found = access("mi300x", 2)
    assert found.container.devices == ("/dev/kfd", "/dev/dri")
    assert "planned for another machine" in found.notes[0]


@pytest.mark.parametrize("profile", ["least", "rdma"])
def test_the_image_is_read_only_and_the_temporary_folder_is_in_memory(profile: str) -> None:
    found = access(profile=profile)
    assert found.container.read_only
    assert found.container.tmpfs == (Tmpfs("/tmp", 5 * GIB),)
    assert {"read-only", "/tmp"} < {reason.item for reason in found.reasons}


@pytest.mark.parametrize("profile", ["least", "rdma"])
def test_every_writable_folder_has_a_reason(profile: str) -> None:
    found = access(profile=profile)
    items = {reason.item for reason in found.reasons}
    assert set(writable_folders(found.container)) == {"/cache", "/tmp", "/dev/shm"} <= items


@pytest.mark.parametrize("profile", ["documented", "profiling"])
def test_wider_profiles_leave_the_image_writable(profile: str) -> None:
    found = access(profile=profile)
    assert (found.container.read_only, found.container.tmpfs) == (False, ())
    assert not {"read-only", "/tmp"} & {reason.item for reason in found.reasons}


def test_an_nvidia_container_of_crun_has_a_writable_image_and_a_note() -> None:
    """crun before 1.26 runs hooks after it has made the image read-only, and NVIDIA's hooks write to the image."""
    found = access(runtime="crun")
    assert (found.container.read_only, found.container.tmpfs) == (False, ())
    assert any("containers/crun#1924" in note for note in found.notes)
    for runtime, hardware in (("runc", "h200"), ("crun", "mi300x"), ("crun", "cpu")):
        assert access(hardware, 1, runtime=runtime).container.read_only


def pids(given: int, profile: str = "least", hardware: str = "h200") -> tuple[int, list[str]]:
    """Return the limit of a plan and the sources of its reasons."""
    made = plan(M2, hardware, 4, access=profile, pids=given)
    sources = [reason.source for reason in made.reasons if reason.item == "pids-limit"]
    return made.container.pids_limit, sources


def test_processes_are_limited_by_the_number_of_ranks() -> None:
    assert pids(0) == (4096 + 4 * 1024, ["rule: least access"])
    assert pids(0, "documented") == (0, [])


@pytest.mark.parametrize("profile", PROFILES)
def test_the_users_limit_of_processes_replaces_that_of_the_profile(profile: str) -> None:
    assert pids(500, profile) == (500, ["--pids"])


def test_the_page_of_what_a_server_writes_names_variables_of_the_plan() -> None:
    page = (ROOT / "docs/reference/files.md").read_text()
    named = set(re.findall(r"`([A-Z_]+)=(/cache/\w+)`", page))
    assert named
    assert named <= {(variable.name, variable.value) for variable in access().env}


def test_several_nodes_use_the_host_network() -> None:
    found = access(nodes=2).container
    assert (found.network, found.ports) == ("host", ())


def test_profiles_add_their_capabilities_and_devices() -> None:
    assert access(profile="profiling").container.cap_add == ("SYS_PTRACE", "SYS_ADMIN")
    rdma = access(profile="rdma").container
    assert (rdma.cap_add, rdma.devices) == (("IPC_LOCK",), ("/dev/infiniband",))


def test_a_variable_of_the_user_replaces_the_containers() -> None:
    made = plan(M2, "h200", 4, env=(("HF_HUB_OFFLINE", "0"),))
    assert dict(made.processes[0].env)["HF_HUB_OFFLINE"] == "0"
    assert [name for name, _ in made.processes[0].env].count("HF_HUB_OFFLINE") == 1


def test_guide_has_only_the_flags_of_the_guide() -> None:
    found = plan(M2, "mi300x", 8, vllm="0.11.1", access="guide").container
    assert (found.privileged, found.ipc, found.network, found.tty) == (True, "host", "host", True)
    assert (found.shm_bytes, found.user, found.cap_drop, found.ports) == (0, "", (), ())
    assert (found.read_only, found.tmpfs, found.pids_limit) == (False, (), 0)


def test_least_on_rocm_uses_a_seccomp_profile() -> None:
    found = access("mi300x", 1, devices=("/dev/dri/renderD128",), seccomp="/opt/slipway/rocm.seccomp.json")
    assert found.container.security_opt == ("no-new-privileges", "seccomp=/opt/slipway/rocm.seccomp.json")
    assert any(reason.item == "seccomp" and "NUMA" in reason.why for reason in found.reasons)
    profiling = access("mi300x", 1, "profiling", devices=("/dev/dri/renderD128",), seccomp="/x.json")
    assert profiling.container.security_opt == ("no-new-privileges",)


def test_profiles_with_capabilities_set_a_user_or_a_limit() -> None:
    assert access(profile="profiling").container.user == "0:0"
    assert access(profile="rdma").container.ulimits == (("memlock", -1),)


def listening(address: str, profile: str = "least") -> Access:
    options = PlanOptions(M2, access=profile, listen=address)
    return grant(options, host("h200", key_file="/home/me/.config/slipway/api-key.env"), recipe(M2), IMAGE, 4)


@pytest.mark.parametrize("profile", ["least", "documented", "profiling"])
def test_an_open_port_needs_an_api_key(profile: str) -> None:
    found = listening("0.0.0.0", profile)
    assert found.container.ports == (Port("0.0.0.0", 8000, 8000),)
    assert found.container.env_files == ("/home/me/.config/slipway/api-key.env",)
    assert any("/invocations" in note for note in found.notes)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_loopback_port_needs_no_api_key(address: str) -> None:
    found = listening(address).container
    assert (found.ports[0].host_ip, found.env_files) == (address, ())


@pytest.mark.parametrize("address", ["", "localhost", "0.0.0.0:80", "1.2.3", "*"])
def test_an_invalid_listen_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="is not an IP address"):
        listening(address)
