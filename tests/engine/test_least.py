"""A real container of `--access least` has nothing that the reasons of its plan do not name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import testinfra

from launch.engine import create_args
from launch.engine.verify_access import check_access, writable_folders
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.repository import open_repository
from launch.spec.gpu_catalog import catalog
from launch.spec.inputs import Host as PlanHost
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from tests.conftest import MODEL, SERVER

if TYPE_CHECKING:
    from docker import DockerClient
    from testinfra.host import Host

# Default devices and mounts of every container (OCI runtime specification).
DEVICES = "console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
FILES = {"/", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
INIT = {"/sbin/docker-init", "/usr/sbin/docker-init"}  # added by this test, so that `sleep` handles signals
UID, GID = 1234, 4321


@pytest.fixture(scope="module")
def plan(cpu_image: str, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A plan for two ranks on the CPU of this host, for a user who is not root."""
    hub, cache = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("cache")
    host = PlanHost(catalog()["cpu"], 2, uid=UID, gid=GID, hub_cache=str(hub), cache=str(cache))
    image = image_for("cpu", "0.32.0", cpu_image, None)
    made = make_plan(PlanOptions(MODEL, name=SERVER, port=0), host, open_repository().recipe(MODEL), image)
    for mount in made.container.mounts:
        Path(mount.source).mkdir(exist_ok=True)
        os.chown(mount.source, UID, GID)
    return made


@pytest.fixture(scope="module")
def inside(engine: DockerClient, plan: Plan) -> Iterator[Host]:
    """The plan's container, which sleeps instead of serving, through testinfra."""
    arguments = create_args.arguments(plan, plan.processes[0]) | {"entrypoint": ["sleep"], "command": ["600"]}
    container = engine.containers.run(**arguments, detach=True, init=True)
    yield testinfra.get_host(f"docker://{container.id}")
    container.remove(force=True, v=True)


def has_reason(plan: Plan, item: str) -> bool:
    """Return whether the plan explains an item."""
    return any(item in reason.item and reason.why and reason.source for reason in plan.reasons)


def status(inside: Host, field: str) -> str:
    """Return a field of the status of the container's first process."""
    (line,) = [
        row
        for row in inside.file("/proc/1/status").content_string.splitlines()
        if row.startswith(f"{field}:")
    ]
    return str(line.partition(":")[2].strip())


@pytest.mark.parametrize("capabilities", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_the_process_has_no_capabilities(inside: Host, plan: Plan, capabilities: str) -> None:
    assert int(status(inside, capabilities), 16) == 0
    assert has_reason(plan, "cap-drop ALL")


def test_the_process_cannot_gain_privileges(inside: Host, plan: Plan) -> None:
    assert status(inside, "NoNewPrivs") == "1"
    assert status(inside, "Seccomp") == "2"  # a filter is active
    assert has_reason(plan, "no-new-privileges")


def test_the_process_has_the_ids_of_the_user(inside: Host, plan: Plan) -> None:
    assert status(inside, "Uid").split() == [str(UID)] * 4
    assert status(inside, "Groups").split() in ([], [str(GID)])
    assert has_reason(plan, "user")


def test_the_container_has_only_default_devices(inside: Host, plan: Plan) -> None:
    present = set(inside.check_output("ls /dev").split())
    assert {name for name in present - set(DEVICES.split()) if not has_reason(plan, f"/dev/{name}")} == set()
    block_devices = inside.check_output("find /dev -type b").split()
    assert block_devices == []


def test_every_mount_has_a_reason(inside: Host, plan: Plan) -> None:
    lines = inside.file("/proc/1/mountinfo").content_string.splitlines()
    targets = {line.split()[4]: line.split()[5] for line in lines}
    added = {t for t in targets if not re.match(r"/(proc|sys|dev)(/|$)", t)} - FILES
    assert {target for target in added if not has_reason(plan, target)} <= INIT
    assert targets["/hub"].startswith("ro")
    assert targets["/cache"].startswith("rw")


def test_the_weights_are_read_only(inside: Host) -> None:
    assert inside.run("touch /hub/x").rc != 0
    assert inside.run("touch /cache/x").rc == 0


def test_the_image_is_read_only(inside: Host, plan: Plan) -> None:
    """Even for root: only the mounts, the temporary folder and shared memory are writable."""
    files = inside.check_output("find / -xdev -writable -not -type l 2> /dev/null || true").split()
    assert set(files) == {"/cache", "/tmp"}  # mounts, into which this `find` does not go
    assert inside.run("touch /etc/x").rc != 0
    assert has_reason(plan, "read-only")


def test_the_writable_folders_are_those_of_the_plan(engine: DockerClient, inside: Host, plan: Plan) -> None:
    check_access(engine, engine.containers.get(inside.backend.name), plan)
    assert set(writable_folders(plan.container)) == {"/cache", "/tmp", "/dev/shm"}


def test_the_temporary_folder_is_limited_and_runs_programs(inside: Host, plan: Plan) -> None:
    options = inside.mount_point("/tmp").options
    assert {"nosuid", "nodev"} < set(options)
    assert "noexec" not in options
    size = inside.check_output("df -B1 --output=size /tmp").split()[-1]
    assert int(size) == plan.container.tmpfs[0].size_bytes


def test_processes_are_limited(inside: Host, plan: Plan) -> None:
    limit = inside.check_output(
        "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2> /dev/null || true"
    )
    assert int(limit) == plan.container.pids_limit
    assert has_reason(plan, "pids-limit")


def test_shared_memory_has_the_planned_size(inside: Host, plan: Plan) -> None:
    size = inside.check_output("df -B1 --output=size /dev/shm").split()[-1]
    assert int(size) == plan.container.shm_bytes
    assert has_reason(plan, "/dev/shm")


def test_every_variable_has_a_reason(inside: Host, plan: Plan, engine: DockerClient) -> None:
    of_image = {word.partition("=")[0] for word in engine.images.get(plan.image).attrs["Config"]["Env"] or ()}
    names = {
        word.partition("=")[0]
        for word in inside.check_output("cat /proc/1/environ | tr '\\0' '\\n'").split("\n")
    }
    assert {name for name in names - of_image - {"HOSTNAME", ""} if not has_reason(plan, name)} == set()


def test_the_only_port_is_open_on_loopback(engine: DockerClient, inside: Host, plan: Plan) -> None:
    ports = engine.containers.get(inside.backend.name).attrs["NetworkSettings"]["Ports"]
    published = {name: bound for name, bound in ports.items() if bound}
    assert list(published) == ["8000/tcp"]
    assert {bound["HostIp"] for bound in published["8000/tcp"]} == {"127.0.0.1"}
    assert has_reason(plan, "publish")


def test_the_container_is_not_privileged(engine: DockerClient, inside: Host) -> None:
    host = engine.containers.get(inside.backend.name).attrs["HostConfig"]
    assert (host["Privileged"], host["PidMode"], host["IpcMode"], host["UTSMode"]) == (
        False,
        "",
        "private",
        "",
    )
    assert (
        not inside.file("/proc/sysrq-trigger").is_file or inside.run("echo h > /proc/sysrq-trigger").rc != 0
    )
