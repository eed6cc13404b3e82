"""`invoke run` with a real engine and a stand-in for vLLM: messages, events, and what remains after a failure."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.engine.client import sockets
from tests.conftest import SERVER
from tests.engine.conftest import Command, Run, Start, listed
from tests.engine.proxy import Proxy
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


def containers(engine: DockerClient) -> list[Container]:
    return engine.containers.list(all=True, filters={"name": f"^/{SERVER}$"})


def wait_for_first_phase(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert "configure" in process.stdout.readline()


def test_run_reports_the_address_and_the_kv_cache(run: Run, port: str) -> None:
    done = run("serves").ok()
    assert done.out == f"slipway/MiniMax-M2-tiny serves at http://127.0.0.1:{port}/v1\n"
    assert "KV cache: 524288 tokens" in done.err


@pytest.mark.parametrize(
    ("mode", "parts"),
    [
        ("bad-flag", ["exited with 2", "--no-such-flag"]),
        ("killed-loading", ["exited with 137", "load weights"]),
        ("no-kv", ["exited with 1", "estimated maximum model length is 1024", "--max-model-len"]),
        (
            "dies-when-asked",
            ["exited with 137", "illegal memory access", "--workaround piecewise-cudagraphs"],
        ),
        ("serves-errors", ["HTTP 500", "EngineCore encountered an issue"]),
    ],
)
def test_a_failed_start_is_explained_in_one_message(run: Run, mode: str, parts: list[str]) -> None:
    done = run(mode)
    assert done.code == 1
    assert [part for part in parts if part not in done.err] == []
    assert "Traceback (most recent call last)" not in done.err
    assert "Engine core initialization failed" not in done.err


def test_run_succeeds_after_a_failed_start(run: Run) -> None:
    assert run("no-kv").code == 1
    run("serves").ok()


def test_a_taken_port_is_refused_before_anything_starts(run: Run, port: str, engine: DockerClient) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(port)))
        other.listen()
        done = run("serves")
    assert done.code == 2
    assert f"port {port}" in done.err
    assert "--port auto" in done.err
    assert containers(engine) == []


def test_run_does_not_replace_a_container_that_slipway_did_not_start(
    run: Run, engine: DockerClient, stand_in: str
) -> None:
    other = engine.containers.create(stand_in, name=SERVER)
    done = run("serves", "--replace")
    assert done.code == 2
    assert "that Slipway did not start" in done.err
    other.reload()
    assert other.status == "created"


def test_another_plan_is_refused_without_replace(run: Run) -> None:
    run("serves").ok()
    assert run("serves", "--max-model-len", "1024").code == 2
    run("serves", "--max-model-len", "1024", "--replace").ok()


def test_run_without_waiting_returns_while_the_server_starts(run: Run) -> None:
    done = run("hangs", "--wait", "no").ok()
    assert "will serve at" in done.out
    assert [row["status"] for row in listed()] == ["running"]


def test_a_safe_fix_is_applied_once_and_saved_for_the_next_start(run: Run) -> None:
    done = run("no-kv", "--workaround", "auto").ok()
    assert "fix: changed after a failed start: --max-model-len 1024" in done.err
    again = run("no-kv", "--workaround", "auto", "--replace").ok()
    assert "exited with 1" not in again.err
    assert run("no-kv", "--workaround", "no", "--replace").code == 1


def test_a_phase_without_new_log_lines_times_out(run: Run) -> None:
    done = run("hangs", "--phase-timeout", "3")
    assert done.code == 1
    assert "logged nothing new for 3 s in the phase 'load weights' at 99%" in done.err
    assert "99% Completed" in done.err


def test_events_name_every_phase_and_end_with_the_address(run: Run, port: str) -> None:
    events = run("serves", "--format", "json").events
    phases = [event["phase"] for event in events if event["event"] == "phase"]
    assert phases[0] == "configure"
    assert phases[-1] == "first generation"
    assert events[-1]["event"] == "serves"
    assert events[-1]["url"] == f"http://127.0.0.1:{port}/v1"


def test_a_server_killed_by_its_memory_limit_is_diagnosed(run: Run) -> None:
    done = run("eats-memory", "--memory", "128m")
    assert done.code == 1
    assert "ran out of memory and was killed" in done.err


@pytest.mark.slow
def test_run_reads_a_log_of_a_gigabyte(run: Run) -> None:
    run("loud", "--env", "STAND_IN_LINES=1000000").ok()


def test_stop_removes_the_container(run: Run, engine: DockerClient) -> None:
    run("serves").ok()
    invoke("stop", SERVER).ok()
    assert containers(engine) == []
    done = invoke("logs", SERVER)
    assert done.code == 2
    assert "no Slipway server" in done.err


def test_an_image_that_cannot_be_pulled_is_named(run: Run) -> None:
    done = run("serves", image="127.0.0.1:9/none:x")
    assert done.code == 1
    assert "cannot resolve '127.0.0.1:9/none:x' to a digest" in done.err
    done = run("serves", image=f"127.0.0.1:9/none@sha256:{'0' * 64}")
    assert done.code == 1
    assert "cannot pull 127.0.0.1:9/none@sha256:" in done.err


def test_a_server_is_started_by_the_id_of_its_image_and_records_it(
    run: Run, engine: DockerClient, stand_in: str
) -> None:
    run("serves").ok()
    (container,) = containers(engine)
    image = str(engine.images.get(stand_in).id)
    assert container.attrs["Config"]["Image"] == container.attrs["Image"] == image
    (listed_server,) = listed()
    assert (listed_server["image_name"], listed_server["image_id"]) == (stand_in, image)
    assert (listed_server["image_digest"], listed_server["vllm"]) == (image, "0.32.0")


def test_two_runs_at_once_start_one_server(start: Start) -> None:
    processes = [start("serves"), start("serves")]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("already running" in err for _, err in outputs) == 1
    assert len(listed()) == 1


def test_sigterm_leaves_the_server_and_the_next_run_finds_it(start: Start, run: Run) -> None:
    process = start("hangs", "--format", "json")
    wait_for_first_phase(process)
    process.terminate()
    process.communicate(timeout=30)
    assert "already running" in run("hangs", "--wait", "no").ok().err


def test_a_lost_engine_is_reported_and_the_next_run_finds_the_server(
    start: Start, run: Run, tmp_path: Path
) -> None:
    proxy = Proxy(tmp_path, sockets()[0])
    process = start("hangs", "--format", "json", DOCKER_HOST=proxy.url)
    wait_for_first_phase(process)
    proxy.cut()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the container engine stopped responding" in err
    again = run("hangs", "--wait", "no", "--memory", "2g").ok().err
    assert "already running" in again
    assert "not applied: --memory 2g; --replace" in again


def test_ps_shows_address_state_and_load(run: Run, port: str) -> None:
    run("serves").ok()
    (server,) = listed()
    assert (server["status"], server["url"]) == ("running", f"http://127.0.0.1:{port}")
    assert server["load"] == {"running": 1, "tokens": 42, "tokens_per_s": 0}
    assert SERVER in invoke("ps").ok().out


def test_exec_runs_a_command_in_the_container(run: Run) -> None:
    run("serves").ok()
    assert invoke("exec", SERVER, "echo inside").ok().out == "inside\n"


def test_restart_keeps_the_plan_and_waits_until_the_server_answers(run: Run, port: str) -> None:
    run("serves").ok()
    done = invoke("restart", SERVER).ok()
    assert done.out == f"slipway/MiniMax-M2-tiny serves at http://127.0.0.1:{port}/v1\n"


def test_logs_shows_all_lines_or_the_last_ones(run: Run) -> None:
    run("serves").ok()
    assert "Application startup complete" in invoke("logs", SERVER, "--since", "60").ok().out
    assert "Resolved architecture" in invoke("logs", SERVER).ok().out
    assert invoke("logs", SERVER, "--tail", "1").ok().out.count("\n") == 1


def test_run_fetches_missing_weights_if_asked_to(run: Run, hub_with_model: str, tmp_path: Path) -> None:
    cache = {"HF_ENDPOINT": hub_with_model, "HF_HUB_CACHE": str(tmp_path / "hub")}
    refused = run("serves", **cache)
    assert refused.code == 1
    assert "slipway/MiniMax-M2-tiny" in refused.err
    done = run("serves", "--fetch", **cache).ok()
    assert "fetch slipway/MiniMax-M2-tiny" in done.err
    assert "serves at" in done.out


def test_an_open_port_gets_an_api_key_that_is_shown_once(
    run: Run, engine: DockerClient, tmp_path: Path
) -> None:
    home = {"SLIPWAY_STATE_DIR": str(tmp_path)}
    done = run("serves", "--listen", "0.0.0.0", **home).ok()
    file = tmp_path / "config" / "api-key.env"
    key = file.read_text().splitlines()[0].partition("=")[2]
    assert key in done.err
    assert file.stat().st_mode & 0o777 == 0o600
    server = engine.containers.get(SERVER)
    assert f"VLLM_API_KEY={key}" in server.attrs["Config"]["Env"]
    assert key not in f"{server.labels}{server.attrs['Config']['Cmd']}{server.logs().decode()}"
    again = run("serves", "--listen", "0.0.0.0", "--replace", **home).ok()
    assert key not in again.err + again.out + invoke("ps", "--format", "json").out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_cache_is_diagnosed_and_the_next_start_succeeds(run: Run, small_disk: Path) -> None:
    done = run("fills-cache", SLIPWAY_STATE_DIR=str(small_disk))
    assert done.code == 1
    assert "No space left on device" in done.err
    run("serves").ok()


def test_a_dry_run_prints_the_command_with_name_and_limits(command: Command, hub_cache: Path) -> None:
    done = invoke(*command("serves", "--dry-run", "--memory", "2g"), HF_HUB_CACHE=str(hub_cache)).ok()
    assert f"--name {SERVER}" in done.out
    assert "--memory=2g" in done.out


def test_a_paused_server_is_left_alone_without_replace(run: Run, engine: DockerClient) -> None:
    run("serves").ok()
    engine.containers.get(SERVER).pause()
    for done in (run("serves"), invoke("chat", SERVER, "Hello")):
        assert done.code == 2
        assert f"docker unpause {SERVER}" in done.err
    run("serves", "--replace").ok()


def test_a_server_that_is_removed_while_it_starts_ends_the_events(start: Start, engine: DockerClient) -> None:
    process = start("hangs", "--format", "json")
    wait_for_first_phase(process)
    engine.containers.get(SERVER).remove(force=True)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"{SERVER} was removed while it was starting" in err
    assert json.loads(out.splitlines()[-1])["event"] == "failed"


def test_a_running_plan_does_not_need_its_image(run: Run, engine: DockerClient, stand_in: str) -> None:
    engine.images.get(stand_in).tag("slipway-test/short-lived", "1")
    try:
        run("serves", image="slipway-test/short-lived:1").ok()
    finally:
        engine.images.remove("slipway-test/short-lived:1")
    assert "already running" in run("serves", image="slipway-test/short-lived:1").ok().err


def test_a_limit_that_the_engine_refuses_is_reported(run: Run) -> None:
    done = run("serves", "--memory", "1k")
    assert done.code == 1
    assert "the engine could not start" in done.err
    assert "Minimum memory limit" in done.err
