from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import docker
import pytest

from errors import Refused
from launch.engine.servers import UnknownServer
from launch.operations import supervise
from launch.operations.supervise import Supervisor
from launch.supervision import events
from launch.supervision.events import Event
from launch.supervision.policy import Observation

if TYPE_CHECKING:
    from docker import DockerClient


def full_disk(event: Event) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_does_not_end_the_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    client: DockerClient = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")
    monkeypatch.setattr(supervise, "find", lambda client, name: None)
    monkeypatch.setattr(supervise, "observe", lambda client, name: Observation(0, "gone"))
    monkeypatch.setattr(events, "record", full_disk)
    shown: list[Event] = []
    Supervisor(client, "m2", show=shown.append).run()
    assert [event.kind for event in shown] == ["supervised", "ended"]


def test_a_server_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(client: DockerClient, name: str) -> None:
        raise UnknownServer(f"no Slipway server named '{name}'")

    monkeypatch.setattr(supervise, "find", unknown)
    client: DockerClient = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")
    with pytest.raises(Refused, match="no Slipway server named 'm2'"):
        Supervisor(client, "m2").run()
