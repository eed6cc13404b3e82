"""Gather the facts about this host in parallel, with a deadline: what hangs is reported instead of waited for."""

from __future__ import annotations

import os
import pwd
import time
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TypeVar

from launch.deadline import start
from launch.doctor.facts import Engine, Facts
from launch.doctor.probes import engine as engine_probe
from launch.doctor.probes import host, hub, network
from launch.engine.client import nvidia_hook
from launch.hardware import cdi, detect
from launch.hardware.types import Hardware

TIME_LIMIT = 1.2  # seconds, so that the whole command takes less than two

Result = TypeVar("Result")


def gather(platform: str = "", model: str = "", port: int = 8000, seconds: float = TIME_LIMIT) -> Facts:
    """Return the facts. Raises Refused if GPUs of both vendors are present and no platform is given."""
    deadline = time.monotonic() + seconds
    on_disk = hub.read_disk(model)
    detection = start(detect.detect)
    online = start(lambda: hub.query(on_disk, seconds))
    builder = start(engine_probe.builder)
    unknown = Hardware()
    hardware = _result(detection, deadline, unknown)
    timed_out = ("hardware",) if hardware is unknown else ()
    platform = detect.platform_of(hardware, platform)
    engine = start(lambda: engine_probe.probe(platform))
    no_answer = Engine(error="the engine does not answer in time", fix="docker info")
    return Facts(
        platform=platform,
        user=user_name(os.geteuid()),
        uid=os.geteuid(),
        groups=tuple(sorted({os.getegid(), *os.getgroups()})),
        hardware=hardware,
        devices=host.devices(platform, hardware),
        specs=cdi.read_specs(),
        toolkit=nvidia_hook(),
        kernel=host.kernel(),
        network=network.probe(port),
        clock=time.time(),
        # A podman that has just been started takes more than a second for its first answer.
        engine=replace(
            _result(engine, deadline + seconds, no_answer), builder=_result(builder, deadline, "")
        ),
        hub=_result(online, deadline, on_disk),
        timed_out=timed_out,
    )


def _result(future: Future[Result], deadline: float, default: Result) -> Result:
    """Wait until the deadline, then return the result of a probe or the default."""
    wait([future], timeout=max(0.0, deadline - time.monotonic()))
    return future.result() if future.done() else default


def user_name(uid: int) -> str:
    """Return the name of a user, or the number if the system has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
