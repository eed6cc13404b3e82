"""A server with real vLLM: it starts from the plan, answers, is benchmarked and has minimal privileges."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import testinfra
import yaml

from launch.bench.record import Record
from launch.bench.records import read_all
from tests.conftest import MODEL
from tests.e2e.conftest import WANTED, engine_core
from tests.invocation import finished, invoke, start

if TYPE_CHECKING:
    from docker import DockerClient

Server = dict[str, Any]


def test_run_reports_model_address_and_seconds_of_each_phase(server: Server) -> None:
    assert server["model"] == MODEL
    assert server["url"] == f"http://127.0.0.1:{server['port']}/v1"
    assert server["kv_tokens"] > 0
    assert {"import", "configure", "first generation"} <= set(server["seconds"])


def test_plan_has_the_size_of_the_kv_cache_that_the_server_prints(
    server: Server, settings: dict[str, str]
) -> None:
    plan = invoke("plan", *WANTED, "--format", "json", **settings).json
    assert plan["fit"]["kv_tokens"] == server["kv_tokens"]


def test_chat_streams_a_true_answer(server: Server) -> None:
    finished = invoke("chat", "What is a slipway?", "--name", server["name"]).ok()
    assert finished.out.endswith("A slipway is a ramp on the shore from which a ship is launched.\n")


def test_chat_prints_the_call_of_a_tool(server: Server) -> None:
    words = ("What is the weather in Tokyo?", "--tool", "get_weather:city", "--name", server["name"])
    assert invoke("chat", *words).ok().out.endswith('get_weather({"city": "Tokyo"})\n')


def test_ps_lists_the_server(server: Server) -> None:
    rows = invoke("ps", "--format", "json").json
    assert [(row["model"], row["status"]) for row in rows if row["name"] == server["name"]] == [
        (MODEL, "running")
    ]


def test_top_shows_what_the_engine_does(server: Server) -> None:
    watching = start("top", server["name"], "--every", "500ms", "--count", "8", "--format", "json")
    for _ in range(4):
        invoke("chat", "What is a slipway?", "--name", server["name"]).ok()
    lines = finished(watching).events
    engines = [line["engines"][0] for line in lines if line["engines"]]
    assert len(lines) == 8
    assert {line["problem"] for line in lines} == {""}
    assert max(engine["generation_rate"] for engine in engines) > 0
    assert [engine["ttft_p50"] for engine in engines if engine["ttft_p50"]]


def test_top_ends_quietly_at_ctrl_c(server: Server) -> None:
    watching = start("top", server["name"], "--every", "500ms")
    assert watching.stdout is not None
    assert "engine 0:" in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    ended = finished(watching)
    assert (ended.code, ended.err) == (0, "")


def test_run_leaves_the_same_plan_running(server: Server, settings: dict[str, str]) -> None:
    finished = invoke("run", *WANTED, "--port", server["port"], **settings).ok()
    assert "already running" in finished.err


def test_run_refuses_another_plan_of_the_same_name(server: Server, settings: dict[str, str]) -> None:
    finished = invoke("run", *WANTED, "--port", server["port"], "--max-model-len", "1024", **settings)
    assert finished.code == 2
    assert "another plan" in finished.err
    assert "--replace" in finished.err


@pytest.mark.parametrize("preset", ["guide-cuda", "guide-rocm"])
def test_bench_measures_and_records_the_load_of_the_guide(server: Server, preset: str) -> None:
    options = ("--preset", preset, "--scale", "0.02", "--format", "json")
    run = Record.model_validate(invoke("bench", server["name"], *options).json["runs"][0])
    assert (run.status, run.result["failed"]) == ("complete", 0)
    assert run.result["completed"] == run.load.requests
    assert (run.server.plan, run.server.kv_cache_tokens) == (server["plan"], server["kv_tokens"])
    assert run.validity.outcome != "void", run.validity
    assert run.id in {recorded.id for recorded in read_all()}


def test_container_has_only_the_privileges_of_the_plan(server: Server, engine: DockerClient) -> None:
    """Profile `least` on the CPU image: the settings of the engine, and those of the process itself."""
    granted = engine.containers.get(server["name"]).attrs["HostConfig"]
    assert granted["CapDrop"] == ["ALL"]
    assert not granted["CapAdd"]
    assert not granted["Privileged"]
    assert not granted["Devices"]
    assert granted["IpcMode"] in ("private", "shareable")
    assert granted["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
    assert granted["ReadonlyRootfs"]
    assert granted["PidsLimit"] > 0
    inside = testinfra.get_host(f"docker://{server['name']}")
    status = dict(line.split(":\t", 1) for line in inside.file("/proc/1/status").content_string.splitlines())
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_vllm_writes_nothing_outside_its_folders(server: Server, engine: DockerClient) -> None:
    """Serving, a benchmark and questions leave the layer of the container empty."""
    changed = {change["Path"] for change in engine.containers.get(server["name"]).diff() or ()}
    targets = {"/hub", "/cache", "/tmp", "/dev", "/dev/shm"}
    assert changed <= targets


def test_weights_are_read_only_and_the_server_contacts_no_hub(server: Server) -> None:
    inside = testinfra.get_host(f"docker://{server['name']}")
    assert inside.mount_point("/hub").exists
    assert "ro" in inside.mount_point("/hub").options
    assert inside.environment()["HF_HUB_OFFLINE"] == "1"


def test_chat_shows_one_message_if_the_server_refuses_the_question(server: Server) -> None:
    finished = invoke("chat", "x " * 3000, "--name", server["name"])
    assert finished.code == 1
    assert "HTTP 400" in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop a process of a container from the host")
def test_health_check_of_the_files_notices_an_engine_that_hangs(
    server: Server, settings: dict[str, str], engine: DockerClient
) -> None:
    """As in the Compose file, with 6 seconds for 300: an idle server, one that hangs, one that goes on."""
    text = invoke("plan", *WANTED, "--format", "compose", **settings).ok().out
    command = yaml.safe_load(text)["services"]["server"]["healthcheck"]["test"][1:]
    command[2] = command[2].replace("> 300", "> 6").replace("> 150", "> 3").replace("timeout=15", "timeout=2")
    container = engine.containers.get(server["name"])

    def healthy() -> bool:
        return bool(container.exec_run(command).exit_code == 0)

    assert poll(12, lambda: not healthy()) is False, "an idle server was called dead"
    core = engine_core(container)
    os.kill(core, signal.SIGSTOP)
    try:
        assert poll(60, lambda: not healthy())
    finally:
        os.kill(core, signal.SIGCONT)
    assert poll(60, healthy)


def poll(seconds: float, holds: Callable[[], bool]) -> bool:
    """Ask once a second until the condition holds; return whether it did in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(1)
    return False
