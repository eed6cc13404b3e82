"""Several servers of one model on one host: names, ports that Slipway chooses, and what is refused.

Each test has a state folder of its own, so `stop --all` and the removal at the end see the servers of this test only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.engine import ports
from launch.engine.servers import LABEL, STATE
from launch.paths import state_dir
from tests import invocation
from tests.conftest import MODEL
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

FIRST, SECOND = "slipway-test-replica-1", "slipway-test-replica-2"
Run = Callable[..., Finished]
Words = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def own_state(
    engine: DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub_cache: Path
) -> Iterator[str]:
    """The state folder of this test; its servers are removed at the end."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(hub_cache))
    yield str(state_dir())
    for container in engine.containers.list(all=True, filters={"label": f"{STATE}={state_dir()}"}):
        container.remove(force=True, v=True)


@pytest.fixture
def words(stand_in: str) -> Words:
    """Return the words of an `invoke run` of the stand-in under a name."""

    def make(name: str, *options: str, port: str = "auto") -> list[str]:
        wanted = ["--platform", "cpu", "--model", MODEL, "--image", stand_in, "--vllm", "0.32.0"]
        return ["run", *wanted, "--env", "STAND_IN=serves", "--name", name, "--port", port, *options]

    return make


@pytest.fixture
def run(words: Words) -> Run:
    """Run `invoke run` of the stand-in under a name and wait for its end."""
    return lambda name, *options, **changed: invoke(*words(name, *options, **changed))


@pytest.fixture
def foreign(engine: DockerClient, stand_in: str) -> Iterator[Callable[..., str]]:
    """Create a container that is not of this user; return its name."""
    created = []

    def make(name: str, **labels: str) -> str:
        created.append(engine.containers.create(stand_in, name=name, labels=labels))
        return name

    yield make
    for container in created:
        container.remove(force=True)


def listed() -> dict[str, int]:
    """Return the servers of this test that `invoke ps` lists, with their ports."""
    servers = invoke("ps", "--format", "json").json
    return {s["name"]: int(s["url"].rpartition(":")[2]) for s in servers if s["name"] in (FIRST, SECOND)}


def listening(port: int = 0) -> socket.socket:
    """Return a socket that listens on a port of loopback."""
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    other.listen()
    return other


def test_two_servers_of_one_model_serve_on_ports_of_their_own(run: Run) -> None:
    for name in (FIRST, SECOND):
        assert f"invoke chat {name}" in run(name).ok().err
    found = listed()
    assert sorted(found) == [FIRST, SECOND]
    assert len(set(found.values())) == 2
    assert min(found.values()) >= 8000
    for name in (FIRST, SECOND):
        assert invoke("chat", name, "What is a slipway?").ok().out == "a ramp\n"
        assert "Application startup complete" in invoke("logs", name).ok().out
        assert invoke("bench", name, "--dry-run").ok().out.startswith(f"docker exec {name} ")
    unnamed = invoke("chat", "What is a slipway?")
    assert unnamed.code == 2
    assert f"{FIRST}, {SECOND}" in unnamed.err
    assert "give a NAME" in unnamed.err
    invoke("stop", FIRST).ok()
    assert listed() == {SECOND: found[SECOND]}
    assert invoke("chat", SECOND, "What is a slipway?").ok().out == "a ramp\n"


def test_a_second_run_finds_its_server_and_other_commands_keep_its_port(run: Run) -> None:
    run(FIRST).ok()
    run(SECOND).ok()
    before = listed()
    assert f"{SECOND}: already running" in run(SECOND).ok().err
    assert f":{before[SECOND]}/v1" in invoke("restart", SECOND).ok().out
    run(SECOND, "--max-model-len", "1024", "--replace").ok()
    invoke("stop", FIRST).ok()
    run(SECOND, "--replace").ok()  # although the port of the first server is free now
    assert listed() == {SECOND: before[SECOND]}


def test_another_plan_under_the_same_name_is_refused_with_both_ways_out(run: Run) -> None:
    run(FIRST).ok()
    done = run(FIRST, "--max-model-len", "1024")
    assert done.code == 2
    assert "--replace stops" in done.err
    assert "--name starts another server" in done.err


def test_two_launches_at_once_get_different_ports(words: Words) -> None:
    processes = [invocation.start(*words(name)) for name in (FIRST, SECOND)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = listed()
    assert len(set(found.values())) == 2
    for name in (FIRST, SECOND):
        assert invoke("chat", name, "What is a slipway?").ok().out == "a ramp\n"


def test_stop_all_stops_the_servers_of_this_user_only(run: Run, foreign: Callable[..., str]) -> None:
    other = foreign("slipway-test-other-user", **{LABEL: "0123", STATE: "/home/other/state"})
    for name in (FIRST, SECOND):
        run(name, "--wait", "no").ok()
    planned = invoke("stop", "--all", "--dry-run").ok().out.splitlines()
    assert [line.split(" && ")[1] for line in planned] == [f"docker rm {FIRST}", f"docker rm {SECOND}"]
    done = invoke("stop", "--all").ok()
    assert other in done.err
    assert listed() == {}
    assert other in invoke("ps").ok().out
    assert "No Slipway servers of this user exist" in invoke("stop", "--all").ok().err


def test_stop_refuses_a_name_together_with_all(run: Run) -> None:
    run(FIRST, "--wait", "no").ok()
    assert invoke("stop", FIRST, "--all").code == 2
    assert list(listed()) == [FIRST]
    invoke("stop", "--all", SLIPWAY_NAME="from-the-settings").ok()
    assert listed() == {}


def test_auto_skips_a_port_of_another_process(run: Run) -> None:
    number = ports.first_free("127.0.0.1")
    with listening(number):
        run(FIRST).ok()
        assert listed()[FIRST] != number


def test_the_port_of_another_server_is_refused_with_its_name(run: Run, engine: DockerClient) -> None:
    run(FIRST, "--wait", "no").ok()
    number = listed()[FIRST]
    done = run(SECOND, port=str(number))
    assert done.code == 2
    assert f"port {number} on 127.0.0.1 is taken\n  why: the server '{FIRST}' uses it" in done.err
    assert "--port auto" in done.err
    assert engine.containers.list(all=True, filters={"name": f"^/{SECOND}$"}) == []


def test_the_port_of_another_process_is_refused(run: Run, engine: DockerClient) -> None:
    with listening() as other:
        done = run(FIRST, port=str(other.getsockname()[1]))
    assert done.code == 2
    assert "another process listens there" in done.err
    assert engine.containers.list(all=True, filters={"name": f"^/{FIRST}$"}) == []


def test_the_name_of_a_foreign_container_is_refused(
    run: Run, foreign: Callable[..., str], engine: DockerClient
) -> None:
    foreign(FIRST)
    for options in ((), ("--replace",)):
        done = run(FIRST, *options)
        assert done.code == 2
        assert f"a container named '{FIRST}' exists that Slipway did not start" in done.err
        assert "--name with another name" in done.err
    assert engine.containers.get(FIRST).status == "created"
    assert invoke("stop", FIRST).code == 2
    assert engine.containers.get(FIRST).status == "created"


def test_restart_is_refused_if_the_port_is_taken_meanwhile(run: Run, engine: DockerClient) -> None:
    run(FIRST, "--wait", "no").ok()
    engine.containers.get(FIRST).stop(timeout=5)
    number = listed()[FIRST]
    run(SECOND, "--wait", "no").ok()
    assert listed()[SECOND] != number  # the stopped server keeps its port
    with listening(number):
        done = invoke("restart", FIRST)
    assert done.code == 2
    assert f"port {number} on 127.0.0.1 is taken" in done.err
    assert f"invoke run --name {FIRST}" in done.err
    assert f":{number}/v1" in invoke("restart", FIRST).ok().out


def test_a_dry_run_prints_name_and_a_free_port(run: Run) -> None:
    done = run(FIRST, "--dry-run").ok()
    assert f"--name {FIRST}" in done.out
    assert "-p 127.0.0.1:8" in done.out
    assert "chooses again" in done.err


@pytest.fixture
def holding(engine: DockerClient, stand_in: str, own_state: str) -> Callable[..., Container]:
    """Start a container with a server's labels that has GPUs of a host with eight H200."""

    def start(name: str, *gpus: int) -> Container:
        labels = {LABEL: "0123", STATE: own_state, "slipway.gpus": ",".join(map(uuid, gpus))}
        return engine.containers.run(
            stand_in, name=name, labels=labels, entrypoint=["sleep", "600"], detach=True
        )

    return start


@pytest.fixture
def eight_h200(nvml_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detect eight H200 on this host: a stand-in answers for the driver."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_library))
    monkeypatch.setenv("NVML_GPUS", "\n".join(["NVIDIA H200;90;143771;4;1;ok"] * 8))


def uuid(index: int) -> str:
    return f"GPU-00000000-0000-0000-0000-{index:012}"


@pytest.mark.usefixtures("eight_h200")
def test_a_second_replica_gets_the_gpus_that_the_first_does_not_have(
    holding: Callable[..., Container],
) -> None:
    holding(FIRST, 0, 1, 2, 3)
    plan = ("plan", "--gpus", "4", "--format", "json", "--name")
    assert invoke(*plan, SECOND).json["container"]["gpu_ids"] == [uuid(index) for index in (4, 5, 6, 7)]
    assert invoke(*plan, FIRST).json["container"]["gpu_ids"] == [uuid(index) for index in (0, 1, 2, 3)]
    holding(SECOND, 4, 5, 6, 7)
    done = invoke("run", "--gpus", "4", "--name", "slipway-test-replica-3", "--port", "auto")
    assert done.code == 1
    assert "of 8 GPUs, 0 of one model are free" in done.err
    assert f"GPU 0: container {FIRST}" in done.err


@pytest.mark.usefixtures("eight_h200")
def test_restart_is_refused_if_the_gpus_are_taken_meanwhile(holding: Callable[..., Container]) -> None:
    stopped = holding(FIRST, 0, 1, 2, 3)
    stopped.kill()
    holding(SECOND, 2, 3)
    done = invoke("restart", FIRST)
    assert done.code == 2
    assert f"the GPUs of '{FIRST}' are taken" in done.err
    assert f"GPU 2: container {SECOND}; GPU 3: container {SECOND}" in done.err
    stopped.reload()
    assert stopped.status == "exited"
