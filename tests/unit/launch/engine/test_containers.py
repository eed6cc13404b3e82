"""A plan's container: its name, its URL, and the containers that it may replace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed, Refused
from launch.engine import containers, servers
from launch.engine.containers import url_of
from launch.spec.plan import AUTO_PORT, Container, Layout, Plan, Port, Process
from launch.spec.server_name import name_of

PLAN = Plan(
    model="MiniMaxAI/MiniMax-M2.1",
    platform="cuda",
    image="i:1",
    vllm_version="0.32.0",
    strategy="single_node_tp",
    layout=Layout(tp=4),
    processes=(Process("server", 0, ("vllm", "serve", "MiniMaxAI/MiniMax-M2.1")),),
    container=Container(ports=(Port("127.0.0.1", 8001, 8000),)),
)


def test_name_of_is_made_from_the_model() -> None:
    assert name_of(PLAN) == "slipway-minimax-m2.1"


def test_name_of_is_the_plans_own_name() -> None:
    assert name_of(replace(PLAN, container=Container(name="MiniMax-M2"))) == "MiniMax-M2"


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ((Port("127.0.0.1", 8001, 8000),), "http://127.0.0.1:8001"),
        ((Port("0.0.0.0", 8001, 8000),), "http://127.0.0.1:8001"),
        ((Port("::", 8001, 8000),), "http://[::1]:8001"),
        ((), "http://127.0.0.1:8000"),
    ],
)
def test_url_of(ports: tuple[Port, ...], url: str) -> None:
    assert url_of(replace(PLAN, container=Container(ports=ports))) == url


def test_digest_ignores_the_reasons_of_a_plan() -> None:
    assert replace(PLAN, notes=("a remark",)).digest == PLAN.digest
    assert replace(PLAN, image="i:2").digest != PLAN.digest


class Existing:
    """A container on the engine; records what is done to it."""

    def __init__(self, status: str = "running", name: str = name_of(PLAN), **labels: str) -> None:
        self.status, self.name, self.short_id, self.calls = status, name, "0123", list[str]()
        self.labels = labels
        self.attrs: dict[str, Any] = {"NetworkSettings": {"Ports": {}}, "State": {}, "HostConfig": {}}

    def stop(self, timeout: int) -> None:
        self.calls.append("stop")

    def logs(self, **options: Any) -> bytes:
        return b"the last line\n"

    def remove(self, **options: Any) -> None:
        self.calls.append("remove")

    def start(self) -> None:
        self.calls.append("start")

    def reload(self) -> None:
        self.status = "exited"


class Engine:
    """An engine with at most one container."""

    def __init__(self, existing: Existing | None = None) -> None:
        self.containers, self.images = self, SimpleNamespace(get=lambda name: SimpleNamespace(id="sha256:1"))
        self.api = SimpleNamespace(containers=lambda **options: list[Any]())
        self.existing, self.created = existing, dict[str, Any]()

    def get(self, name: str) -> Existing:
        from docker.errors import NotFound

        if self.existing is None:
            raise NotFound(name)
        return self.existing

    def create(self, **arguments: Any) -> Existing:
        self.created = arguments
        return Existing("created")

    def list(self, **options: Any) -> list[Existing]:
        return [self.existing] if self.existing else []


@pytest.fixture(autouse=True)
def no_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("launch.engine.ports._is_taken", lambda address, port: False)
    yield


@pytest.mark.parametrize(
    ("existing", "message"),
    [
        (Existing(), "that Slipway did not start"),
        (Existing("paused", **{servers.LABEL: PLAN.digest}), "is paused"),
        (Existing(**{servers.LABEL: "another"}), "runs another plan"),
    ],
)
def test_start_refuses_to_replace_another_container(existing: Existing, message: str) -> None:
    engine: Any = Engine(existing)
    with pytest.raises(Refused, match=message):
        containers.start(engine, PLAN)
    assert existing.calls == []


def test_start_keeps_a_running_container_of_the_same_plan() -> None:
    existing: Any = Existing(**{servers.LABEL: PLAN.digest})
    engine: Any = Engine(existing)
    assert containers.start(engine, PLAN) == (existing, False)
    assert existing.calls == []


@pytest.mark.parametrize("status", ["exited", "running", "paused"])
def test_start_replaces_its_own_container(status: str) -> None:
    existing = Existing(status, **{servers.LABEL: PLAN.digest})
    engine: Any = Engine(existing)
    _, started = containers.start(engine, PLAN, replace=status != "exited")
    assert started
    assert existing.calls == (["stop", "remove"] if status == "running" else ["remove"])
    assert engine.created["labels"][servers.LABEL] == PLAN.digest


def test_start_chooses_a_port_and_finds_the_server_again() -> None:
    auto = replace(PLAN, container=Container(ports=(Port("127.0.0.1", AUTO_PORT, 8000),)))
    engine: Any = Engine()
    containers.start(engine, auto)
    labels = engine.created["labels"]
    assert engine.created["ports"] == {"8000/tcp": ("127.0.0.1", 8000)}
    assert (labels["slipway.url"], labels[servers.LABEL]) == ("http://127.0.0.1:8000", auto.digest)
    running: Any = Engine(Existing(**labels))
    assert not containers.must_start(running, auto)
    assert containers.must_start(running, auto, replace=True)


def test_start_gives_a_container_the_state_folder_of_its_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    engine: Any = Engine()
    containers.start(engine, PLAN)
    server: Any = Engine(Existing(name="a", **engine.created["labels"]))
    assert [container.name for container in servers.find_own(server, tmp_path / "state")[0]] == ["a"]
    assert servers.find_own(server, tmp_path / "other") == ([], ["a"])


@pytest.mark.parametrize(
    ("argv", "port"), [(("vllm", "serve", "m"), 8000), (("vllm", "serve", "m", "--port", "8005"), 8005)]
)
def test_ports_of_a_server_on_the_network_of_the_host(argv: tuple[str, ...], port: int) -> None:
    plan = replace(PLAN, container=Container(network="host"), processes=(Process("server", 0, argv),))
    assert [found.host for found in containers.ports_of(plan)] == [port]


def test_start_fails_without_an_api_key_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "api-key.env"
    file.write_text("# empty\n")
    engine: Any = Engine()
    with pytest.raises(Failed, match="needs an API key"):
        containers.start(engine, replace(PLAN, container=Container(env_files=(str(file),))))


def test_find_needs_a_name_only_if_there_are_several() -> None:
    one: Any = Engine(Existing(name="a", **{servers.LABEL: "1"}))
    assert servers.find(one).name == "a"
    with pytest.raises(Refused, match="no Slipway server named 'b'") as refused:
        servers.find(one, "b")
    assert refused.value.why == "servers: a"
    none: Any = Engine()
    with pytest.raises(Refused, match="no Slipway server exists"):
        servers.find(none)
