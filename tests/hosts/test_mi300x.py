"""Eight simulated MI300X on Docker, above a stand-in for upstream's image."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.hosts.conftest import NewHost
from tests.hosts.engines import start_docker
from tests.hosts.every_host import Details, EveryHost, inspect, servers
from tests.hosts.gpus import RENDER_GROUP, show_mi300x
from tests.hosts.inputs import MODEL
from tests.hosts.simulated_host import SimulatedHost

NODES = [f"/dev/dri/renderD{128 + 8 * gpu}" for gpu in range(8)]
FIRST, SECOND = "replica-1", "replica-2"


@pytest.fixture(scope="module")
def host(new_host: NewHost) -> Iterator[SimulatedHost]:
    """A host of eight MI300X."""
    with new_host("rocm") as one:
        show_mi300x(one)
        start_docker(one)
        yield one


def devices(details: Details) -> list[str]:
    """Return the device nodes that a container was given."""
    return sorted(device["PathOnHost"] for device in details["HostConfig"]["Devices"])


class TestMi300x(EveryHost):
    """Every verb."""

    heading, platform, gpu = "Eight MI300X on Docker", "rocm", "mi300x"

    def test_the_container_has_kfd_and_the_render_nodes_of_its_gpus(self, details: Details) -> None:
        assert devices(details) == [*NODES, "/dev/kfd"]
        assert details["HostConfig"]["GroupAdd"] == [str(RENDER_GROUP)]

    def test_the_seccomp_profile_is_that_of_rocm(self, details: Details) -> None:
        options = dict(option.partition("=")[::2] for option in details["HostConfig"]["SecurityOpt"])
        assert "no-new-privileges" in options
        allowed = {name for rule in json.loads(options["seccomp"])["syscalls"] for name in rule["names"]}
        assert "mbind" in allowed


@pytest.fixture(scope="module")
def image(host: SimulatedHost) -> str:
    """The image of the host, and the model in its cache."""
    host.invoke("fetch", MODEL).ok()
    return host.invoke("build", "--platform", "rocm").ok().out.strip()


@pytest.fixture
def replicas(host: SimulatedHost) -> Iterator[None]:
    """Stop the servers of a test."""
    yield
    host.invoke("stop", "--all").ok()


def run(name: str, *options: str) -> tuple[str, ...]:
    """Return the words of an `invoke run` of four GPUs under a name."""
    return ("run", "--gpus", "4", "--name", name, "--port", "auto", *options)


@pytest.mark.usefixtures("image", "replicas")
def test_two_launches_of_four_at_once_share_no_gpu(host: SimulatedHost) -> None:
    for done in host.invoke_at_once(run(FIRST), run(SECOND)):
        done.ok()
    first, second = (devices(inspect(host, name)) for name in (FIRST, SECOND))
    assert sorted([*first, *second]) == sorted([*NODES, "/dev/kfd", "/dev/kfd"])
    assert len({row["url"] for row in servers(host).values()}) == 2
    third = host.invoke(*run("replica-3"))
    assert third.code == 1
    assert "of 8 GPUs, 0 of one model are free" in third.err
    host.invoke("stop", FIRST).ok()
    assert host.invoke("chat", SECOND, "What is a slipway?").ok().out == "a ramp\n"


@pytest.fixture
def another_container(host: SimulatedHost, image: str) -> Iterator[str]:
    """A container that Slipway did not start has GPU 1."""
    node = f"{NODES[1]}:{NODES[1]}:rwm"
    made = host.engine().containers.run(
        image, entrypoint=["sleep", "600"], command=[], devices=[node], name="other", detach=True
    )
    yield "other"
    made.remove(force=True)


@pytest.mark.usefixtures("image", "replicas", "another_container")
def test_a_gpu_of_another_container_is_left_alone(host: SimulatedHost) -> None:
    eight = host.invoke("run", "--gpus", "8")
    assert eight.code == 1
    assert "GPU 1: container other" in eight.err
    named = host.invoke("run", "--gpus", "1,2")
    assert named.code == 2
    assert "GPU 1 is taken" in named.err
    host.invoke(*run(FIRST)).ok()
    assert devices(inspect(host, FIRST)) == [*NODES[4:], "/dev/kfd"]


@pytest.mark.usefixtures("image", "replicas")
def test_a_card_whose_node_is_missing_is_named_and_not_used(host: SimulatedHost) -> None:
    (host.root / NODES[2].lstrip("/")).unlink()
    try:
        assert f"missing: {NODES[2]}" in host.invoke("doctor").ok().out
        eight = host.invoke("run", "--gpus", "8")
        assert eight.code == 1
        assert f"GPU 2: its render node does not exist: {NODES[2]}" in eight.err
        host.invoke(*run(FIRST)).ok()
        assert devices(inspect(host, FIRST)) == [*NODES[4:], "/dev/kfd"]
    finally:
        host.add_device(NODES[2], RENDER_GROUP)


@pytest.mark.usefixtures("replicas")
def test_run_builds_the_image_of_the_lock_if_it_is_not_here(host: SimulatedHost, image: str) -> None:
    host.engine().images.remove(image)
    done = host.invoke(*run(FIRST)).ok()
    assert "build rocm image" in done.err
    assert inspect(host, FIRST)["Image"] == host.engine().images.get(image).id


@pytest.mark.usefixtures("image", "replicas")
def test_a_partitioned_card_is_given_with_all_its_partitions(host: SimulatedHost) -> None:
    show_mi300x(host, partitions=8)
    try:
        host.invoke("run", "--gpus", "0,", "--name", FIRST).ok()
        assert devices(inspect(host, FIRST)) == [
            *(f"/dev/dri/renderD{128 + part}" for part in range(8)),
            "/dev/kfd",
        ]
        assert "0 (1 x MI300X)" in host.invoke("ps").ok().out
        rest = host.invoke("gpus").ok().out
        assert f"container {FIRST}" in rest
    finally:
        show_mi300x(host)
