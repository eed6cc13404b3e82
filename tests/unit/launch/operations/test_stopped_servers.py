"""What happens to the servers that run while layouts are measured. With stand-ins for containers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed, Refused
from launch.engine.servers import STATE
from launch.operations import stopped_servers
from launch.operations.events import Events
from launch.operations.stopped_servers import NAME, without_servers

CLIENT: Any = None  # the stand-ins need no engine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path / "state"


class Server:
    """A running server that notes what is done to it."""

    def __init__(self, name: str, state: Path, fault: Exception | None = None) -> None:
        self.name, self.status, self.fault = name, "running", fault
        self.labels = {STATE: str(state)}
        self.calls: list[str] = []

    def stop(self, timeout: int) -> None:
        self.calls.append("stop")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the servers of the host."""

    def restart(client: object, server: Server) -> None:
        if server.fault:
            raise server.fault
        server.calls.append("start")

    def set_servers(*servers: Server) -> None:
        by_name = {server.name: server for server in servers}
        monkeypatch.setattr(stopped_servers, "list_servers", lambda client: list(servers))
        monkeypatch.setattr(stopped_servers, "find", lambda client, name: by_name[name])

    monkeypatch.setattr(stopped_servers, "servers", SimpleNamespace(restart=restart))
    monkeypatch.setattr("launch.supervision.service.pid", lambda name: 42 if name == "supervised" else None)
    return set_servers


def test_servers_are_stopped_and_started_again(host: Callable[..., None], state: Path) -> None:
    one, two = Server("one", state), Server("two", state)
    host(one, two)
    with without_servers(CLIENT, True, Events()):
        assert (one.calls, two.calls) == (["stop"], ["stop"])
    assert (one.calls, two.calls) == (["stop", "start"], ["stop", "start"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Failed("the disk is full")])
def test_they_are_started_again_after_any_end(
    host: Callable[..., None], state: Path, error: BaseException
) -> None:
    one = Server("one", state)
    host(one)
    with pytest.raises(type(error)), without_servers(CLIENT, True, Events()):
        raise error
    assert one.calls == ["stop", "start"]


def test_one_that_cannot_be_started_is_named_and_the_others_are_started(
    host: Callable[..., None], state: Path
) -> None:
    broken, two = Server("one", state, OSError("its GPU is gone")), Server("two", state)
    host(broken, two)
    failing = pytest.raises(Failed, match="a server was not started again")
    with failing as failed, without_servers(CLIENT, True, Events()):
        pass
    assert (failed.value.why, failed.value.fix) == ("one: its GPU is gone", "invoke restart one")
    assert two.calls == ["stop", "start"]


@pytest.mark.parametrize(
    ("name", "own", "stop", "message"),
    [
        ("one", True, False, "a server runs on this host"),
        ("supervised", True, True, "'supervised' is supervised"),
        ("one", False, True, "'one' is not stopped"),
        (NAME, True, True, f"'{NAME}' runs already"),
    ],
)
def test_a_server_that_must_run_is_left_running(
    host: Callable[..., None], state: Path, name: str, own: bool, stop: bool, message: str
) -> None:
    server = Server(name, state if own else state / "of another user")
    host(server)
    with pytest.raises(Refused, match=message), without_servers(CLIENT, stop, Events()):
        pytest.fail("the benchmark began")
    assert server.calls == []
