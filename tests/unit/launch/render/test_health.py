"""The health command, run as an engine runs it: in a process of its own, against a server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server
from threading import Thread
from typing import Any

import pytest
import yaml

from launch.render import compose, health, kubernetes, quadlet
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, plan


def run(command: tuple[str, ...], port: int) -> int:
    """Run a command against this port, with a short wait for the answer."""
    program = command[2].replace("8000", str(port)).replace("timeout=20", "timeout=0.3")
    return subprocess.run([sys.executable, *command[1:2], program], check=False, timeout=30).returncode


@contextmanager
def serving(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def commands(made: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return health.health_command(made, made.processes[0]), health.startup_command(made, made.processes[0])


@pytest.mark.parametrize(("status", "alive", "started"), [(200, 0, 0), (503, 1, 1), (404, 0, 1)])
def test_health_command_fails_if_the_engine_has_died(status: int, alive: int, started: int) -> None:
    with serving(status) as port:
        assert [run(command, port) for command in commands(plan())] == [alive, started]


def test_health_command_does_not_fail_if_the_server_is_too_busy_to_answer() -> None:
    with create_server(("127.0.0.1", 0)) as listening:
        assert [run(command, listening.getsockname()[1]) for command in commands(plan())] == [0, 1]


def test_health_command_fails_if_the_server_does_not_listen() -> None:
    with create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert [run(command, port) for command in commands(plan())] == [1, 1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, health.Endpoint("127.0.0.1", 8000)),
        ({"--host": "0.0.0.0"}, health.Endpoint("127.0.0.1", 8000)),
        ({"--host": "::"}, health.Endpoint("::1", 8000)),
        ({"--host": "10.0.0.7"}, health.Endpoint("10.0.0.7", 8000)),
        ({"--ssl-certfile": "/c"}, health.Endpoint("127.0.0.1", 8000, tls=True)),
        ({"--ssl-certfile": "/c", "--ssl-cert-reqs": "2"}, None),
        ({"--uds": "/s"}, None),
        ({"--host": "x'); import shutil; ('"}, None),
    ],
)
def test_endpoint_follows_the_options_of_the_server(
    settings: dict[str, str], expected: health.Endpoint | None
) -> None:
    made = plan(settings=tuple(settings.items()))
    assert health.endpoint(made, made.processes[0]) == expected
    assert (commands(made) == ((), ())) is (expected is None)
    assert ("livenessProbe" in kubernetes.render(made)) is (expected is not None)


def test_no_supervisor_ends_a_start() -> None:
    made = plan(M2, "h200", 4)  # its recipe grants 2,700 s to the loading of the weights
    assert health.start_seconds(made) == health.START_SECONDS + 2700
    unit = quadlet.render(made)
    assert "HealthStartupRetries=0\n" in unit
    assert "HealthOnFailure=kill\n" in unit
    assert f"TimeoutStartSec={health.start_seconds(made)}\n" in unit
    service = yaml.safe_load(compose.render(made))["services"]["server"]
    assert service["healthcheck"]["start_period"] == "5400s"
    assert service["restart"] == "unless-stopped"
    pod = kubernetes.documents(made)[0]["spec"]["template"]["spec"]["containers"][0]
    assert pod["startupProbe"]["failureThreshold"] * pod["startupProbe"]["periodSeconds"] == 5400
    assert pod["livenessProbe"]["exec"]["command"] == list(commands(made)[0])


def test_readiness_needs_no_api_key() -> None:
    open_port = plan(listen="0.0.0.0", facts={"key_file": "/key"})
    for made, path in ((plan(), "/v1/models"), (open_port, "/health")):
        pod = kubernetes.documents(made)[0]["spec"]["template"]["spec"]["containers"][0]
        assert pod["readinessProbe"]["httpGet"]["path"] == path


def test_headless_workers_have_no_checks() -> None:
    made = plan(M2, "h200", 8, 2)
    worker = made.processes[1]
    assert ("--data-parallel-hybrid-lb" in worker.argv) is (health.endpoint(made, worker) is not None)
    texts = list(quadlet.files(made).values())
    assert "HealthCmd=" in texts[0]
    assert json.loads(texts[0].split("HealthCmd=")[1].splitlines()[0]) == list(commands(made)[0])


def test_the_guides_shell_has_no_checks() -> None:
    made = plan(M2, "mi300x", 8, vllm="0.11.1", access="guide")
    assert "healthcheck" not in compose.render(made)
    assert "Health" not in quadlet.render(made)


def test_quadlet_of_several_nodes_is_several_files() -> None:
    from errors import Refused
    from launch.render import files, render

    made = plan(M2, "h200", 8, 2)
    assert list(files(made, "quadlet")) == ["slipway-0.container", "slipway-1.container"]
    with pytest.raises(Refused, match="several files") as refused:
        render(made, "quadlet")
    assert refused.value.fix == "--output DIR"
    assert list(files(plan(), "compose")) == ["compose.yaml"]
