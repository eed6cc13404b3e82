"""What the user reads when a start goes wrong, and that nothing is left behind that the next run trips over.

The server is a stand-in for vLLM (tests/engine/stand_in), the engine is real.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from launch.engine.client import sockets
from tests.engine.conftest import NAME
from tests.engine.proxy import Proxy
from tests.invocation import invoke


def test_a_good_start_is_proven_and_reported(run, port):
    said = run("serves").ok()
    assert said.out == f"slipway/MiniMax-M2-tiny serves at http://127.0.0.1:{port}/v1\n"
    assert "KV cache: 524288 tokens" in said.err


@pytest.mark.parametrize(
    ("mode", "words"),
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
def test_a_failed_start_is_one_clear_message(run, mode, words):
    said = run(mode)
    assert said.code == 1
    assert [word for word in words if word not in said.err] == []
    assert "Traceback (most recent call last)" not in said.err
    assert "Engine core initialization failed" not in said.err


def test_after_a_failed_start_the_next_one_just_works(run):
    assert run("no-kv").code == 1
    run("serves").ok()


def test_a_taken_port_is_refused_before_anything_starts(run, port, engine):
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(port)))
        other.listen()
        said = run("serves")
    assert said.code == 2
    assert f"port {port}" in said.err
    assert f"--port {int(port) + 1}" in said.err
    assert engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}) == []


def test_a_strangers_container_under_our_name_is_not_touched(run, engine, stand_in):
    stranger = engine.containers.create(stand_in, name=NAME)
    said = run("serves", "--replace")
    assert said.code == 2
    assert "not ours" in said.err
    stranger.reload()
    assert stranger.status == "created"


def test_another_plan_is_refused_until_replace(run):
    run("serves").ok()
    assert run("serves", "--max-model-len", "1024").code == 2
    run("serves", "--max-model-len", "1024", "--replace").ok()


def test_nothing_waits_with_wait_no(run):
    said = run("hangs", "--wait", "no").ok()
    assert "will serve at" in said.out
    assert invoke("ps", "--format", "json").json[0]["status"] == "running"


def test_a_safe_cure_is_applied_once_when_asked_for_and_kept_for_the_next_start(run):
    said = run("no-kv", "--workaround", "auto").ok()
    assert "fix: changed after a failed start: --max-model-len 1024" in said.err
    again = run("no-kv", "--workaround", "auto", "--replace").ok()
    assert "exited with 1" not in again.err
    assert run("no-kv", "--workaround", "no", "--replace").code == 1


def test_silence_longer_than_ones_patience_is_a_failure_with_the_last_evidence(run):
    said = run("hangs", "--phase-timeout", "3")
    assert said.code == 1
    assert "logged nothing new for 3 s in the phase 'load weights' at 99%" in said.err
    assert "99% Completed" in said.err


def test_events_tell_each_phase_and_end_with_what_serves(run, port):
    events = run("serves", "--format", "json").events
    phases = [event["phase"] for event in events if event["event"] == "phase"]
    assert phases[0] == "configure"
    assert phases[-1] == "first generation"
    assert events[-1]["event"] == "serves"
    assert events[-1]["url"] == f"http://127.0.0.1:{port}/v1"


def test_a_memory_limit_that_is_too_small_is_named(run):
    said = run("eats-memory", "--memory", "128m")
    assert said.code == 1
    assert "ran out of memory and was killed" in said.err


@pytest.mark.slow
def test_a_log_of_a_gigabyte_does_not_hide_the_start(run):
    run("loud", "--env", "STAND_IN_LINES=1000000").ok()


def test_stop_leaves_the_log_and_nothing_else(run, engine):
    run("serves").ok()
    invoke("stop").ok()
    assert engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}) == []
    said = invoke("logs")
    assert said.code == 2
    assert "no server of ours is here" in said.err


def test_an_image_that_does_not_exist_is_one_clear_message(run):
    said = run("serves", image="127.0.0.1:9/none:x")
    assert said.code == 1
    assert "cannot pull 127.0.0.1:9/none:x" in said.err


def test_two_runs_at_once_start_one_server(begin):
    both = [begin("serves"), begin("serves")]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("already running" in err for _, err in said) == 1
    assert len(invoke("ps", "--format", "json").json) == 1


def test_sigterm_to_the_command_leaves_the_server_and_the_next_run_finds_it(begin, run):
    process = begin("hangs", "--format", "json")
    assert "configure" in process.stdout.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert "already running" in run("hangs", "--wait", "no").ok().err


def test_an_engine_that_goes_away_in_the_middle_is_said_and_the_server_is_found_again(begin, run, tmp_path):
    proxy = Proxy(tmp_path, sockets()[0])
    process = begin("hangs", "--format", "json", DOCKER_HOST=proxy.url)
    assert "configure" in process.stdout.readline()
    proxy.cut()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the container engine stopped responding" in said
    assert "already running" in run("hangs", "--wait", "no").ok().err


def test_ps_tells_what_each_server_does_and_where(run, port):
    run("serves").ok()
    (server,) = invoke("ps", "--format", "json").json
    assert (server["name"], server["status"], server["url"]) == (NAME, "running", f"http://127.0.0.1:{port}")
    assert server["load"] == {"running": 1, "tokens": 42, "tokens_per_s": 0}
    assert "0 tok/s, 1 running" in invoke("ps").ok().out


def test_exec_runs_one_command_inside(run):
    run("serves").ok()
    assert invoke("exec", "echo inside").ok().out == "inside\n"


def test_restart_keeps_the_plan_and_proves_the_server_again(run, port):
    run("serves").ok()
    said = invoke("restart").ok()
    assert said.out == f"slipway/MiniMax-M2-tiny serves at http://127.0.0.1:{port}/v1\n"


def test_logs_since_leaves_out_what_is_old(run):
    run("serves").ok()
    assert "Application startup complete" in invoke("logs", "--since", "60").ok().out
    assert "Resolved architecture" in invoke("logs").ok().out
    assert invoke("logs", "--tail", "1").ok().out.count("\n") == 1


def test_a_bare_host_gets_image_and_weights_in_one_command(run, hub_with_model, tmp_path):
    cache = {"HF_ENDPOINT": hub_with_model, "HF_HUB_CACHE": str(tmp_path / "hub")}
    refused = run("serves", **cache)
    assert refused.code == 1
    assert "invoke fetch --model slipway/MiniMax-M2-tiny" in refused.err
    said = run("serves", "--fetch", **cache).ok()
    assert "fetch slipway/MiniMax-M2-tiny" in said.err
    assert "serves at" in said.out


def test_an_open_port_asks_for_a_key_that_is_shown_once_and_stands_nowhere_else(run, engine, tmp_path):
    home = {"SLIPWAY_STATE_DIR": str(tmp_path)}
    said = run("serves", "--listen", "0.0.0.0", **home).ok()
    kept = tmp_path / "config" / "api-key.env"
    key = kept.read_text().splitlines()[0].partition("=")[2]
    assert key in said.err
    assert kept.stat().st_mode & 0o777 == 0o600
    server = engine.containers.get(NAME)
    assert f"VLLM_API_KEY={key}" in server.attrs["Config"]["Env"]
    assert key not in f"{server.labels}{server.attrs['Config']['Cmd']}{server.logs().decode()}"
    again = run("serves", "--listen", "0.0.0.0", "--replace", **home).ok()
    assert key not in again.err + again.out + invoke("ps", "--format", "json").out


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of one megabyte to keep caches on."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_cache_volume_is_named_and_the_next_start_is_not_in_its_way(run, tiny_disk):
    said = run("fills-cache", SLIPWAY_STATE_DIR=str(tiny_disk))
    assert said.code == 1
    assert "No space left on device" in said.err
    run("serves").ok()


def test_a_dry_run_prints_what_would_be_run_under_its_name_and_limits(command, hub_cache):
    said = invoke(*command("serves", "--dry-run", "--memory", "2g"), HF_HUB_CACHE=str(hub_cache)).ok()
    assert f"--name={NAME}" in said.out
    assert "--memory=2g" in said.out


def test_a_paused_server_is_left_alone_and_said(run, engine):
    run("serves").ok()
    engine.containers.get(NAME).pause()
    for said in (run("serves"), invoke("chat", "Hello")):
        assert said.code == 2
        assert f"docker unpause {NAME}" in said.err
    run("serves", "--replace").ok()


def test_a_server_that_is_taken_away_while_it_starts_is_said_and_is_the_last_event(begin, engine):
    process = begin("hangs", "--format", "json")
    assert "configure" in process.stdout.readline()
    engine.containers.get(NAME).remove(force=True)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"{NAME} was removed while it was starting" in err
    assert json.loads(out.splitlines()[-1])["event"] == "failed"


def test_the_same_plan_that_runs_already_needs_no_image_any_more(run, engine, stand_in):
    image = engine.images.get(stand_in)
    image.tag("slipway-test/short-lived", "1")
    try:
        run("serves", image="slipway-test/short-lived:1").ok()
    finally:
        engine.images.remove("slipway-test/short-lived:1")
    assert "already running" in run("serves", image="slipway-test/short-lived:1").ok().err


def test_a_limit_that_the_engine_refuses_is_told_in_its_words(run):
    said = run("serves", "--memory", "1k")
    assert said.code == 1
    assert "the engine could not start" in said.err
    assert "Minimum memory limit" in said.err
