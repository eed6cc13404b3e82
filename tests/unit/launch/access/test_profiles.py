"""The least that serves, and what each wider profile adds."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.access.profiles import grant, shm_bytes
from launch.spec.inputs import PlanOptions
from launch.spec.plan import Mount, Port
from tests.unit.launch.plan_builders import M2, host, plan, recipe

GIB = 2**30


def access(hardware: str = "h200", ranks: int = 4, profile: str = "least", **facts):
    return grant(PlanOptions(M2, access=profile), host(hardware, **facts), recipe(M2), ranks)


def test_the_least_has_no_capability_no_root_and_no_door_but_loopback():
    found = access().container
    assert (found.cap_add, found.cap_drop, found.privileged) == ((), ("ALL",), False)
    assert (found.user, found.ipc, found.network) == ("1000:1000", "", "")
    assert found.ports == (Port("127.0.0.1", 8000, 8000),)
    assert found.mounts == (
        Mount("/home/me/hub", "/hub"),
        Mount("/home/me/slipway", "/cache", read_only=False),
    )


def test_only_the_gpus_that_are_used():
    assert access(ranks=4).container.gpu_ids == ("0", "1", "2", "3")
    assert access(ranks=8).container.gpu_ids == ("all",)
    assert access(ranks=2, gpu_ids=("GPU-a", "GPU-b", "GPU-c")).container.gpu_ids == ("GPU-a", "GPU-b")


def test_amd_gets_its_own_render_nodes_and_numeric_groups():
    nodes = ("/dev/dri/renderD128", "/dev/dri/renderD136", "/dev/dri/renderD144")
    found = access("mi300x", 2, devices=nodes, groups=("44", "105"))
    assert found.container.devices == ("/dev/kfd", *nodes[:2])
    assert found.container.groups == ("44", "105")
    assert found.notes == ()


def test_away_from_the_host_amd_gets_all_render_nodes_and_a_note():
    found = access("mi300x", 2)
    assert found.container.devices == ("/dev/kfd", "/dev/dri")
    assert "planned away from the host" in found.notes[0]


def test_shared_memory_grows_with_the_ranks():
    assert shm_bytes(host("h200"), 8) == 16 * GIB
    assert shm_bytes(host("cpu"), 1) == GIB
    assert shm_bytes(host("cpu"), 4) == 2 * GIB


def test_several_nodes_share_the_hosts_network():
    found = access(nodes=2).container
    assert (found.network, found.ports) == ("host", ())


def test_profiles_add_what_they_are_for():
    assert access(profile="profiling").container.cap_add == ("SYS_PTRACE", "SYS_ADMIN")
    rdma = access(profile="rdma").container
    assert (rdma.cap_add, rdma.devices) == (("IPC_LOCK",), ("/dev/infiniband",))


def test_a_name_that_the_user_set_is_theirs():
    made = plan(M2, "h200", 4, env=(("HF_HUB_OFFLINE", "0"),))
    assert dict(made.processes[0].env)["HF_HUB_OFFLINE"] == "0"
    assert [name for name, _ in made.processes[0].env].count("HF_HUB_OFFLINE") == 1


def test_the_guides_container_has_no_more_than_the_guide_says():
    found = plan(M2, "mi300x", 8, vllm="0.11.1", access="guide").container
    assert (found.privileged, found.ipc, found.network, found.tty) == (True, "host", "host", True)
    assert (found.shm_bytes, found.user, found.cap_drop, found.ports) == (0, "", (), ())


def test_rocm_on_this_host_gets_a_seccomp_profile_instead_of_unconfined():
    found = access("mi300x", 1, devices=("/dev/dri/renderD128",), seccomp="/opt/slipway/rocm.seccomp.json")
    assert found.container.security_opt == ("no-new-privileges", "seccomp=/opt/slipway/rocm.seccomp.json")
    assert any(reason.item == "seccomp" and "NUMA" in reason.why for reason in found.reasons)
    profiling = access("mi300x", 1, "profiling", devices=("/dev/dri/renderD128",), seccomp="/x.json")
    assert profiling.container.security_opt == ("no-new-privileges",)


def test_capabilities_come_with_a_user_who_can_have_them():
    assert access(profile="profiling").container.user == "0:0"
    assert access(profile="rdma").container.ulimits == (("memlock", -1),)


def listening(address, profile="least"):
    options = PlanOptions(M2, access=profile, listen=address)
    return grant(options, host("h200", key_file="/home/me/.config/slipway/api-key.env"), recipe(M2), 4)


@pytest.mark.parametrize("profile", ["least", "documented", "profiling"])
def test_an_open_port_asks_for_a_key(profile):
    found = listening("0.0.0.0", profile)
    assert found.container.ports == (Port("0.0.0.0", 8000, 8000),)
    assert found.container.env_files == ("/home/me/.config/slipway/api-key.env",)
    assert any("/invocations" in note for note in found.notes)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_loopback_needs_none(address):
    found = listening(address).container
    assert (found.ports[0].host_ip, found.env_files) == (address, ())


@pytest.mark.parametrize("address", ["", "localhost", "0.0.0.0:80", "1.2.3", "*"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(Refused, match="--listen"):
        listening(address)
