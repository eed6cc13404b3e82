"""The main job with real vLLM: the plan starts it, it answers, it is measured, it is closed in."""

from __future__ import annotations

import json

import pytest
import testinfra

from launch.paths import results_dir
from tests.conftest import MODEL
from tests.e2e.conftest import WANTED
from tests.invocation import invoke


def test_the_server_says_what_it_serves_where_and_how_long_each_phase_took(server):
    assert server["model"] == MODEL
    assert server["url"] == f"http://127.0.0.1:{server['port']}/v1"
    assert server["kv_tokens"] > 0
    assert {"import", "configure", "first generation"} <= set(server["seconds"])


def test_the_plan_foretold_the_size_of_the_kv_cache(server, settings):
    plan = invoke("plan", *WANTED, "--format", "json", **settings).json
    assert plan["fit"]["kv_tokens"] == pytest.approx(server["kv_tokens"], rel=0.15)


def test_chat_streams_an_answer(server):
    said = invoke("chat", "What is a slipway?", "--max-tokens", "16", "--name", server["name"]).ok()
    assert said.out.strip()


def test_ps_lists_it(server):
    rows = invoke("ps", "--format", "json").json
    assert [(row["model"], row["status"]) for row in rows if row["name"] == server["name"]] == [
        (MODEL, "running")
    ]


def test_the_same_plan_again_is_left_running(server, settings):
    said = invoke("run", *WANTED, "--port", server["port"], **settings).ok()
    assert "already running" in said.err


def test_another_plan_under_that_name_is_refused(server, settings):
    said = invoke("run", *WANTED, "--port", server["port"], "--max-model-len", "1024", **settings)
    assert said.code == 2
    assert "another plan" in said.err
    assert "--replace" in said.err


@pytest.mark.parametrize("preset", ["guide-cuda", "guide-rocm"])
def test_the_guides_load_is_measured_and_recorded(server, preset):
    said = invoke(
        "bench", "--preset", preset, "--scale", "0.02", "--name", server["name"], "--format", "json"
    ).json
    assert said["result"]["failed"] == 0
    assert said["result"]["completed"] > 0
    assert said["slipway"]["plan"] == server["plan"]
    recorded = [json.loads(path.read_text()) for path in results_dir().glob(f"*-{preset}.json")]
    assert said in recorded


def test_no_more_than_the_plan_grants(server, engine):
    """The least profile on the CPU image: what the engine was told, and what the process really has."""
    told = engine.containers.get(server["name"]).attrs["HostConfig"]
    assert told["CapDrop"] == ["ALL"]
    assert not told["CapAdd"]
    assert not told["Privileged"]
    assert not told["Devices"]
    assert told["IpcMode"] in ("private", "shareable")
    assert told["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
    inside = testinfra.get_host(f"docker://{server['name']}")
    status = dict(line.split(":\t", 1) for line in inside.file("/proc/1/status").content_string.splitlines())
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_the_weights_are_read_only_and_the_server_asks_no_hub(server):
    inside = testinfra.get_host(f"docker://{server['name']}")
    assert inside.mount_point("/hub").exists
    assert "ro" in inside.mount_point("/hub").options
    assert inside.environment()["HF_HUB_OFFLINE"] == "1"


def test_a_question_that_the_server_refuses_is_one_clear_message(server):
    said = invoke("chat", "x " * 3000, "--name", server["name"])
    assert said.code == 1
    assert "HTTP 400" in said.err
    assert "Traceback" not in said.err
