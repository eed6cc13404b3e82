"""A real container of `--access least`: nothing is in it that no reason of its plan names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import testinfra

from launch.engine import create_args
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.repository import open_repository
from launch.spec.gpu_catalog import catalog
from launch.spec.inputs import Host
from launch.spec.plan import Plan
from launch.spec.plan_options import PlanOptions
from tests.conftest import MODEL

# What every container has, privileged or not (OCI runtime specification, default devices and mounts).
DEVICES = "console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
FILES = {"/", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
INIT = {"/sbin/docker-init", "/usr/sbin/docker-init"}  # this test's own, so that `sleep` can be ended
UID, GID = 1234, 4321


@pytest.fixture(scope="module")
def plan(cpu_image: str, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A plan for two ranks on this machine's CPU, by a user who is not root."""
    hub, cache = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("cache")
    cache.chmod(0o777)
    host = Host(catalog()["cpu"], 2, uid=UID, gid=GID, hub_cache=str(hub), cache=str(cache))
    image = image_for("cpu", "0.32.0", cpu_image, None)
    return make_plan(PlanOptions(MODEL, port=0), host, open_repository().recipe(MODEL), image)


@pytest.fixture(scope="module")
def inside(engine: Any, plan: Plan) -> Iterator[Any]:
    """Its container, asleep instead of serving, as testinfra sees it."""
    arguments = create_args.arguments(plan, plan.processes[0]) | {"entrypoint": ["sleep"], "command": ["600"]}
    container = engine.containers.run(**arguments, detach=True, init=True)
    yield testinfra.get_host(f"docker://{container.id}")
    container.remove(force=True, v=True)


def named(plan: Plan, word: str) -> bool:
    """Whether a reason of the plan is about it."""
    return any(word in reason.item and reason.why and reason.source for reason in plan.reasons)


def status(inside: Any, field: str) -> str:
    """A field of the status of the container's first process."""
    (line,) = [
        row
        for row in inside.file("/proc/1/status").content_string.splitlines()
        if row.startswith(f"{field}:")
    ]
    return str(line.partition(":")[2].strip())


@pytest.mark.parametrize("capabilities", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_no_capability(inside: Any, plan: Plan, capabilities: str) -> None:
    assert int(status(inside, capabilities), 16) == 0
    assert named(plan, "cap-drop ALL")


def test_no_way_to_gain_rights(inside: Any, plan: Plan) -> None:
    assert status(inside, "NoNewPrivs") == "1"
    assert status(inside, "Seccomp") == "2"  # a filter is in force
    assert named(plan, "no-new-privileges")


def test_the_callers_own_numbers(inside: Any, plan: Plan) -> None:
    assert status(inside, "Uid").split() == [str(UID)] * 4
    assert status(inside, "Groups").split() in ([], [str(GID)])
    assert named(plan, "user")


def test_no_device_beyond_those_of_every_container(inside: Any, plan: Plan) -> None:
    present = set(inside.check_output("ls /dev").split())
    assert {name for name in present - set(DEVICES.split()) if not named(plan, f"/dev/{name}")} == set()
    blocks = inside.check_output("find /dev -type b").split()
    assert blocks == []


def test_no_mount_that_no_reason_names(inside: Any, plan: Plan) -> None:
    lines = inside.file("/proc/1/mountinfo").content_string.splitlines()
    targets = {line.split()[4]: line.split()[5] for line in lines}
    ours = {t for t in targets if not re.match(r"/(proc|sys|dev)(/|$)", t)} - FILES
    assert {target for target in ours if not named(plan, target)} <= INIT
    assert targets["/hub"].startswith("ro")
    assert targets["/cache"].startswith("rw")


def test_the_weights_cannot_be_changed(inside: Any) -> None:
    assert inside.run("touch /hub/x").rc != 0
    assert inside.run("touch /cache/x").rc == 0


def test_shared_memory_is_what_the_layout_needs(inside: Any, plan: Plan) -> None:
    size = inside.check_output("df -B1 --output=size /dev/shm").split()[-1]
    assert int(size) == plan.container.shm_bytes
    assert named(plan, "shm-size")


def test_every_variable_has_a_reason(inside: Any, plan: Plan, engine: Any) -> None:
    of_image = {word.partition("=")[0] for word in engine.images.get(plan.image).attrs["Config"]["Env"] or ()}
    names = {
        word.partition("=")[0]
        for word in inside.check_output("cat /proc/1/environ | tr '\\0' '\\n'").split("\n")
    }
    assert {name for name in names - of_image - {"HOSTNAME", ""} if not named(plan, name)} == set()


def test_one_door_and_only_from_this_machine(engine: Any, inside: Any, plan: Plan) -> None:
    ports = engine.containers.get(inside.backend.name).attrs["NetworkSettings"]["Ports"]
    opened = {name: bound for name, bound in ports.items() if bound}
    assert list(opened) == ["8000/tcp"]
    assert {bound["HostIp"] for bound in opened["8000/tcp"]} == {"127.0.0.1"}
    assert named(plan, "publish")


def test_it_is_not_privileged(engine: Any, inside: Any) -> None:
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
