"""Checks of the container engine, its ports and podman."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.doctor.facts import Engine, ImageFacts, Network
from launch.doctor.report import run_checks
from launch.hardware.types import Hardware, VendorReport
from launch.spec.plan import AUTO_PORT
from tests.unit.launch.doctor.hosts import (
    CPU,
    ENGINE,
    H200,
    cpu,
    cuda,
    only_problem,
    problems,
    with_image,
)  # fmt: skip

ENGINES = [
    (
        Engine(error="no engine: Permission denied", fix="join the group"),
        "error",
        "engine",
        "join the group",
    ),
    (replace(ENGINE, builder=""), "warning", "buildkit", "docker-buildx"),
    (replace(ENGINE, storage="vfs"), "warning", "storage", "overlay2"),
    (
        replace(ENGINE, free=4 * 10**9, image=ImageFacts("x", size=8 * 10**9)),
        "error",
        "image",
        "docker system df",
    ),
    (replace(ENGINE, seccomp=False), "warning", "seccomp", "CONFIG_SECCOMP"),
    (replace(ENGINE, open_files=1024), "warning", "ulimits", "LimitNOFILE"),
]


@pytest.mark.parametrize(("engine", "severity", "check", "fix"), ENGINES)
def test_run_checks_finds_engine_problems(engine: Engine, severity: str, check: str, fix: str) -> None:
    found = next(f for f in problems(replace(cpu(), engine=engine)) if f.check == check)
    assert found.severity == severity
    assert fix in found.fix


def test_port_names_the_container_that_uses_it() -> None:
    engine = replace(with_image(), ports=((8000, "nginx"),))
    found = only_problem(replace(cpu(), engine=engine, network=Network(8000, port_in_use=True)))
    assert "the container nginx" in found.what


def test_port_of_a_slipway_server_is_information() -> None:
    engine = replace(with_image(), ports=((8000, "slipway-minimax-m2"),))
    facts = replace(cpu(), engine=engine, network=Network(8000, port_in_use=True))
    (found,) = [finding for finding in run_checks(facts) if finding.check == "port"]
    assert (found.severity, "slipway-minimax-m2" in found.what) == ("info", True)


def test_port_is_not_checked_if_it_is_chosen_at_the_start() -> None:
    facts = replace(cpu(), engine=with_image(), network=Network(AUTO_PORT))
    assert not [found for found in problems(facts) if found.check == "port"]


def test_podman_needs_cdi_for_nvidia_gpus() -> None:
    engine = replace(with_image(cuda="13.0"), podman=True)
    assert "ignores device requests" in only_problem(cuda(engine=engine)).why
    found = [f for f in problems(cuda(engine=engine, specs=(), toolkit="")) if f.severity == "error"]
    assert [f.check for f in found] == ["nvidia toolkit"]


def test_podman_is_ok_if_it_accepts_cdi_names_and_the_gpus_have_them() -> None:
    named = tuple(replace(gpu, cdi=f"nvidia.com/gpu={gpu.uuid}") for gpu in H200)
    hardware = Hardware(CPU, nvidia=VendorReport("nvidia", "580.65.06", "13.0", named))
    old, new = (
        replace(with_image(cuda="13.0"), podman=True, version=version) for version in ("5.3.2", "5.4.0-dev")
    )
    assert problems(cuda(engine=new, hardware=hardware)) == []
    assert "podman 5.4 or newer" in only_problem(cuda(engine=old, hardware=hardware)).fix
    with_client = replace(old, podman_client="/usr/bin/podman")
    assert problems(cuda(engine=with_client, hardware=hardware)) == []
    assert only_problem(cuda(engine=new)).severity == "warning"
