"""A supervised server on a real engine. The stand-in for vLLM dies and hangs in ways that vLLM does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launch.engine.servers import STATE
from launch.paths import state_dir
from launch.supervision import service
from tests.conftest import SERVER
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

Run = Callable[..., Finished]


@pytest.fixture(autouse=True)
def own_state(engine: DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A state folder of this test, and no systemd of the user; no supervisor is left at the end."""
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    yield
    service.end(SERVER)  # also without a container: the supervisor would follow the next one of this name
    for container in engine.containers.list(all=True, filters={"label": f"{STATE}={state_dir()}"}):
        container.remove(force=True, v=True)


def events() -> list[dict[str, Any]]:
    return list(invoke("events", SERVER, "--format", "json").json)


def until(kind: str, seconds: float = 90) -> dict[str, Any]:
    """Return the first event of a kind, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := [event for event in events() if event["kind"] == kind]:
            return found[0]
        time.sleep(0.5)
    raise AssertionError(f"no event {kind!r} in {seconds} s: {events()}")


def server(engine: DockerClient) -> Container:
    return engine.containers.get(SERVER)


def kill(container: Container) -> None:
    container.kill("SIGKILL")


def end_with_status_0(container: Container) -> None:
    container.kill("SIGTERM")  # the stand-in then exits with 0, as vLLM does after its engine core died


def kill_the_engine_core(container: Container) -> None:
    container.exec_run(["touch", "/tmp/engine-core-is-dead"])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (kill, "it exited with 137"),
        (end_with_status_0, "it exited with 0"),
        (kill_the_engine_core, "/health reported an error for 1"),
    ],
)
def test_a_server_that_died_serves_again_and_its_death_is_recorded(
    fault: Callable[[Container], None], reason: str, engine: DockerClient, run: Run
) -> None:
    started = run("serves-idle", "--supervise", "--notify", "sh -c 'cat >&2'").ok().err
    assert "supervised by a background process" in started
    fault(server(engine))
    died, _ = until("died"), until("restarted")
    assert died["reason"].startswith(reason)
    assert "Application startup complete" in Path(died["log"]).read_text()
    assert invoke("chat", SERVER, "What is a slipway?").ok().out == "a ramp\n"
    (row,) = [row for row in invoke("ps", "--format", "json").json if row["name"] == SERVER]
    assert row["supervision"]["restarts"] == 1
    assert "RESTARTS" in invoke("ps").ok().out
    assert (
        json.dumps(died) in (state_dir() / "supervision" / f"{SERVER}.log").read_text()
    )  # what --notify was given
    invoke("stop", SERVER).ok()
    assert not (state_dir() / "supervision" / f"{SERVER}.json").exists()
    assert [event["kind"] for event in events()] == ["supervised", "died", "restarted"]


def test_requests_that_make_no_progress_are_a_hang(engine: DockerClient, run: Run) -> None:
    run("serves").ok()  # one request in flight, and no token more
    invoke("supervise", SERVER, "--hang-after", "10").ok()
    before = server(engine).attrs["State"]["StartedAt"]
    assert "1 requests made no progress" in until("died")["reason"]
    until("restarted")
    assert server(engine).attrs["State"]["StartedAt"] != before


def test_an_engine_that_hangs_without_a_word_is_found_by_a_test_request(
    engine: DockerClient, run: Run
) -> None:
    run("serves-idle").ok()
    invoke("supervise", SERVER, "--hang-after", "10").ok()
    server(engine).exec_run(["touch", "/tmp/engine-core-hangs"])
    assert until("died")["reason"] == "a test request got no answer for 5 s"
    until("restarted")
    assert invoke("chat", SERVER, "What is a slipway?").ok().out == "a ramp\n"


@pytest.mark.parametrize(
    ("mode", "reason", "cause"),
    [
        ("killed-loading", "it exited with 137", "killed"),
        ("gpu-is-lost", "it exited with 1", "the GPU hardware"),
    ],
)
def test_a_server_that_dies_at_each_start_is_given_up_with_its_cause(
    mode: str, reason: str, cause: str, engine: DockerClient, run: Run
) -> None:
    run("serves-idle").ok()
    invoke("supervise", SERVER, "--max-restarts", "2").ok()
    next_start(server(engine), mode)
    kill(server(engine))
    gave_up = until("gave up")
    assert gave_up["reason"] == f"{reason}, after 2 restarts in a row"
    assert cause in gave_up["cause"]
    assert server(engine).status == "exited"
    assert len([event for event in events() if event["kind"] == "died"]) == 2
    assert "gave up: " in invoke("ps").ok().out


def next_start(container: Container, mode: str) -> None:
    """Let the next starts of the stand-in do this."""
    container.exec_run(["sh", "-c", f"echo {mode} > /cache/mode"])


def test_a_death_with_a_safe_fix_is_fixed_once(engine: DockerClient, run: Run) -> None:
    run("serves-idle", "--supervise").ok()
    next_start(server(engine), "no-kv")  # it serves only with --max-model-len 1024
    kill(server(engine))
    fixed = until("fixed")
    assert "the KV cache is too small" in fixed["cause"]
    assert "--max-model-len 1024" in fixed["fix"]
    assert "1024" in server(engine).attrs["Config"]["Cmd"]
    assert invoke("chat", SERVER, "What is a slipway?").ok().out == "a ramp\n"
    assert [event["kind"] for event in events()] == ["supervised", "died", "died", "fixed"]


def test_a_restart_by_the_user_does_not_count_as_a_death(run: Run) -> None:
    run("serves-idle", "--supervise").ok()
    invoke("restart", SERVER).ok()
    time.sleep(5)  # two observations
    assert [event["kind"] for event in events()] == ["supervised"]


def test_two_ways_to_restart_a_server_are_refused(run: Run) -> None:
    done = run("serves-idle", "--supervise", "--restart", "always")
    assert done.code == 2
    assert "--supervise and --restart always cannot be used together" in done.err
    run("serves-idle", "--restart", "on-failure").ok()
    done = invoke("supervise", SERVER)
    assert done.code == 2
    assert f"docker update --restart no {SERVER}" in done.err


def test_a_server_has_one_supervisor_and_continues_without_it(engine: DockerClient, run: Run) -> None:
    run("serves-idle", "--supervise").ok()
    assert "is supervised already" in invoke("supervise", SERVER, "--foreground").err
    assert "no longer supervised" in invoke("supervise", SERVER, "--end").ok().err
    assert server(engine).status == "running"
    assert "was not supervised" in invoke("supervise", SERVER, "--end").ok().err
