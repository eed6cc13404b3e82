"""Watch running servers: one measurement after another, until none of them runs any more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from errors import Failed, Refused
from launch.allocation.holders import GpuSet
from launch.engine.client import connect
from launch.engine.servers import Server, find, list_servers
from launch.hardware import gpu_load
from launch.hardware.detect import detect
from launch.hardware.gpu_load import GpuLoad
from launch.hardware.types import Gpu
from launch.serving.log_follower import engine_errors
from launch.serving.metrics import read_page
from launch.serving.monitoring.activity import Activity, activities
from launch.serving.monitoring.page import Sample, parse

if TYPE_CHECKING:
    from docker import DockerClient

TIMEOUT = 2.0  # seconds for one page


@dataclass(frozen=True)
class Watched:
    """One server in one measurement: its engines and GPUs, and why it has no engines ("" if it has)."""

    name: str
    engines: tuple[Activity, ...] = ()
    gpus: tuple[GpuLoad, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class _Reading:
    samples: Mapping[str, Sample]
    time: float


def watch(name: str, seconds: float) -> Iterator[tuple[Watched, ...]]:
    """Yield a measurement of the named server, or of all, every `seconds`. Raises Refused if none runs."""
    client = connect()
    if name:
        find(client, name)
    gpus, readings = detect().gpus, dict[str, _Reading]()
    if not (servers := _running(client, name)):
        raise Refused(f"'{name}' is not running" if name else "no Slipway server runs", fix="invoke ps")
    _read(servers, readings)
    while servers := _running(client, name):
        time.sleep(seconds)
        yield tuple(_watched(server, readings, gpus) for server in servers)


def _running(client: DockerClient, name: str) -> list[Server]:
    """Return the servers that run. Raises Failed if the engine has ended."""
    try:
        found = list_servers(client)
    except engine_errors() as error:
        why = str(error).splitlines()[0][:200]
        raise Failed("the container engine does not answer any more", why=why, fix="invoke ps") from None
    return [one for one in found if one.status == "running" and name in ("", one.name)]


def _read(servers: list[Server], readings: dict[str, _Reading]) -> None:
    for server in servers:
        if page := read_page(server.url, TIMEOUT):
            readings[server.id] = _Reading(parse(page), time.monotonic())


def _watched(server: Server, readings: dict[str, _Reading], gpus: tuple[Gpu, ...]) -> Watched:
    """Measure a server since its last reading."""
    own = GpuSet.of(filter(None, server.gpus.split(",")))
    loads = gpu_load.read([gpu for gpu in gpus if own.includes(gpu)])
    page, now = read_page(server.url, TIMEOUT), time.monotonic()
    if page is None:
        return Watched(server.name, gpus=loads, problem=f"{server.url}/metrics does not answer")
    after, before = _Reading(parse(page), now), readings.get(server.id)
    readings[server.id] = after
    if not after.samples:
        return Watched(server.name, gpus=loads, problem="its page of metrics names no engine")
    if before is None:
        return Watched(server.name, gpus=loads, problem="it answers for the first time")
    return Watched(server.name, activities(before.samples, after.samples, now - before.time), loads)
