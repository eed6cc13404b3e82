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

    def __init__(self, name: str, state: Path, fault: BaseException | None = None) -> None:
        self.name, self.status, self.fault = name, "running", fault
        self.labels = {STATE: str(state)}
        self.calls: list[str] = []

    def stop(self, timeout: int) -> None:
        self.calls.append("stop")


class Notes(Events):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the servers of the host."""

    def restart(client: object, server: Server) -> None:
        if server.fault:
            raise server.fault
        server.calls.append("start")

    def remove(server: Server, timeout: int) -> None:
        if server.fault:
            raise server.fault
        server.calls.append("removed")

    def set_servers(*servers: Server) -> None:
        def find(client: object, name: str) -> Server:
            for server in servers:
                if server.name == name:
                    return server
            raise Refused(f"no server is named '{name}'")

        monkeypatch.setattr(stopped_servers, "list_servers", lambda client: list(servers))
        monkeypatch.setattr(stopped_servers, "find", find)

    monkeypatch.setattr(stopped_servers, "containers", SimpleNamespace(stop=remove))
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


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (OSError("its GPU\nis gone"), "one: its GPU is gone"),
        (OSError(), "one: OSError"),
        (
            Refused("the GPUs of 'one' are taken", why="GPU 0: of 'x'"),
            "one: the GPUs of 'one' are taken: GPU 0: of 'x'",
        ),
    ],
)
def test_one_that_cannot_be_started_is_named_and_the_others_are_started(
    host: Callable[..., None], state: Path, fault: Exception, why: str
) -> None:
    broken, two = Server("one", state, fault), Server("two", state)
    host(broken, two)
    failing = pytest.raises(Failed, match="the servers of this host are not as they were before")
    with failing as failed, without_servers(CLIENT, True, Events()):
        pass
    assert (failed.value.why, failed.value.fix) == (why, "invoke restart one")
    assert two.calls == ["stop", "start"]


def test_an_interrupt_of_one_start_starts_the_others_and_names_it(
    host: Callable[..., None], state: Path
) -> None:
    notes = Notes()
    interrupted, two = Server("one", state, KeyboardInterrupt()), Server("two", state)
    host(interrupted, two)
    with pytest.raises(KeyboardInterrupt), without_servers(CLIENT, True, notes):
        pass
    assert two.calls == ["stop", "start"]
    assert "next: invoke restart one" in notes.texts[-1]


def test_a_layout_that_was_not_removed_is_removed_before_the_servers_start(
    host: Callable[..., None], state: Path
) -> None:
    one, layout = Server("one", state), Server(NAME, state)
    host(one)
    with without_servers(CLIENT, True, Events()):
        host(one, layout)
    assert layout.calls == ["removed"]
    assert one.calls == ["stop", "start"]


def test_the_next_command_begins_with_the_layout_that_cannot_be_removed(
    host: Callable[..., None], state: Path
) -> None:
    one, layout = Server("one", state, OSError("busy")), Server(NAME, state, OSError("no answer"))
    host(one)
    with pytest.raises(Failed) as failed, without_servers(CLIENT, True, Events()):
        host(one, layout)
    assert failed.value.fix == f"invoke stop {NAME} && invoke restart one"


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
