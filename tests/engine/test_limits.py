"""Limits reach the engine, by its API and by the options of `docker run`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from docker import DockerClient

from launch.engine.limits import Limits

MIB = 2**20


def create_by_api(engine: DockerClient, image: str, limits: Limits) -> str:
    return str(engine.containers.create(image, **limits.arguments()).id)


def create_by_command(engine: DockerClient, image: str, limits: Limits) -> str:
    if not shutil.which("docker"):
        pytest.skip("no docker command")
    argv = ["docker", "create", *limits.flags(), image]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("create", [create_by_api, create_by_command])
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), {"Memory": 0, "RestartPolicy": "no"}),
        # Without swap: a server that needs more memory is killed instead of becoming slow.
        (Limits(memory="64m"), {"Memory": 64 * MIB, "MemorySwap": 64 * MIB}),
        (Limits(restart="on-failure"), {"Memory": 0, "RestartPolicy": "on-failure"}),
    ],
)
def test_limits_are_those_of_the_container(
    engine: DockerClient,
    stand_in: str,
    create: Callable[[DockerClient, str, Limits], str],
    limits: Limits,
    expected: dict[str, Any],
) -> None:
    container = engine.containers.get(create(engine, stand_in, limits))
    try:
        config = container.attrs["HostConfig"]
        config["RestartPolicy"] = config["RestartPolicy"]["Name"] or "no"
        assert {name: config[name] for name in expected} == expected
    finally:
        container.remove(force=True)
