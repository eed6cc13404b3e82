"""The server that a benchmark measures, and the host that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from launch.bench.changes import hardware_text
from launch.bench.host import kind_and_count
from launch.bench.instance import ContainerInstance, Instance
from launch.bench.lock import neighbours
from launch.bench.server import gpus_of, limits_of
from launch.hardware.detect import detect
from launch.hardware.types import Gpu, Hardware
from launch.serving.api_key import key_of_container

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PORT = 8000  # of the server in its container


@dataclass(frozen=True)
class Target:
    """A server and its address on this host. `port` is that in its container."""

    instance: Instance
    url: str
    model: str
    key: str = ""
    hardware: Hardware = field(default_factory=Hardware)
    gpus: tuple[Gpu, ...] = ()
    neighbours: Callable[[], tuple[str, ...]] = tuple
    port: int = PORT
    on_gpu: bool = False


def of_container(client: DockerClient, container: Container, lock: Path) -> Target:
    """Return the target for a Slipway server. `lock` is the lock file of its benchmark."""
    hardware = detect()
    gpus = gpus_of(container, hardware.gpus)
    return Target(
        ContainerInstance(client, container),
        url=container.labels["slipway.url"],
        model=container.labels["slipway.model"],
        key=key_of_container(container),
        hardware=hardware,
        gpus=gpus,
        neighbours=partial(neighbours, lock),
        on_gpu=bool(gpus),
    )


def hardware_of(container: Container) -> str:
    """Return the hardware of a server as its records will name it, for example `4 x h20`."""
    hardware = detect()
    gpus, limits = gpus_of(container, hardware.gpus), limits_of(container.attrs["HostConfig"], "")
    return hardware_text(*kind_and_count(gpus, hardware, limits.cpus))
