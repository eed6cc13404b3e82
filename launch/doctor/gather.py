"""Looking at everything at once, within a bound: what hangs is left behind and named, never waited for."""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from launch.doctor.facts import Engine, Facts
from launch.doctor.probes import engine as probes_engine
from launch.doctor.probes import host, hub, network
from launch.engine.client import nvidia_hook
from launch.hardware import cdi, detect
from launch.hardware.types import Hardware

PATIENCE = 1.2  # seconds, so that the whole command stays under two


def gather(platform: str = "", model: str = "", port: int = 8000, patience: float = PATIENCE) -> Facts:
    """The facts of this host. Raises Refused where both vendors' GPUs are here and no platform was named."""
    deadline = time.monotonic() + patience
    disk = hub.on_disk(model)
    first = Race(hardware=detect.detect)
    asked = Race(hub=lambda: hub.online(disk, patience), builder=probes_engine.builder)
    hardware = first.take("hardware", deadline, Hardware())
    platform = detect.platform_of(hardware, platform)
    engine = Race(engine=lambda: probes_engine.look(platform))
    hangs = Engine(error="the engine does not answer in time", remedy="docker info")
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
        network=network.look(port),
        clock=time.time(),
        # A podman that has just woken up takes a second and more for its first answer; an engine that hangs is rare.
        engine=replace(
            engine.take("engine", deadline + patience, hangs), builder=asked.take("builder", deadline, "")
        ),
        hub=asked.take("hub", deadline, disk),
        unanswered=tuple(first.late),
    )


def user_name(uid: int) -> str:
    """The user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class Race:
    """Questions asked in threads of their own: one that hangs (a dying driver) holds nobody up."""

    def __init__(self, **questions: Callable[[], Any]) -> None:
        self.late: list[str] = []
        self._answers: dict[str, Any] = {}
        self._threads = {
            name: threading.Thread(target=self._ask, args=(name, ask), daemon=True)
            for name, ask in questions.items()
        }
        for thread in self._threads.values():
            thread.start()

    def _ask(self, name: str, question: Callable[[], Any]) -> None:
        try:
            self._answers[name] = question()
        except BaseException as error:  # raised again where the answer is taken
            self._answers[name] = _Raised(error)

    def take(self, name: str, deadline: float, default: Any) -> Any:
        """The answer, or the default (and the name in `late`) once the deadline has passed."""
        self._threads[name].join(max(0.0, deadline - time.monotonic()))
        answer = self._answers.get(name, default)
        if name not in self._answers:
            self.late.append(name)
        if isinstance(answer, _Raised):
            raise answer.error
        return answer


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
