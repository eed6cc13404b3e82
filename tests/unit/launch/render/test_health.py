"""The health command, run as an engine runs it: in a process of its own, against a server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from launch.render import compose, health, kubernetes, quadlet
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, plan


def run(command: tuple[str, ...], port: int, seen: Path | None = None, stalled: float = 300) -> int:
    """Run a command against this port, with a shorter wait for the answer; `seen` begins the name of its file."""
    program = command[2].replace("8000", str(port)).replace("timeout=15", "timeout=2")
    program = program.replace("> 300", f"> {stalled}").replace("> 150", f"> {stalled / 2}")
    program = program.replace("/tmp/.slipway-steps-", f"{seen or '/nowhere/steps-'}")
    return subprocess.run([sys.executable, *command[1:2], program], check=False, timeout=30).returncode


@dataclass
class Server:
    """What a server answers; None: it does not answer. `page` is its /metrics, `asked` are the tokens asked for."""

    status: int | None = 200
    page: str = ""
    token: int | None = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def works_on(self, requests: int, steps: int) -> None:
        """Report some requests in flight and some steps."""
        names = (("num_requests_running", requests), ("iteration_tokens_total_count", steps))
        self.page = "".join(f'vllm:{name}{{engine="0"}} {value}.0\n' for name, value in names)


@contextmanager
def serving(server: Server) -> Iterator[int]:
    ended = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(server.status, server.page if self.path == "/metrics" else "")

        def do_POST(self) -> None:
            server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            server.keys.append(self.headers["Authorization"])
            self.answer(server.token, "{}")

        def answer(self, status: int | None, text: str) -> None:
            if status is None:
                ended.wait(20)
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield http.server_port
        finally:
            ended.set()
            http.shutdown()


def commands(made: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return health.health_command(made, made.processes[0]), health.startup_command(made, made.processes[0])


ALIVE = commands(plan())[0]


@pytest.mark.parametrize(("status", "alive", "started"), [(200, 0, 0), (503, 1, 1), (404, 0, 1)])
def test_health_command_fails_if_the_engine_has_died(status: int, alive: int, started: int) -> None:
    with serving(Server(status)) as port:
        assert [run(command, port) for command in commands(plan())] == [alive, started]


def test_health_command_does_not_fail_if_the_server_is_too_busy_to_answer(tmp_path: Path) -> None:
    with serving(server := Server()) as port:
        server.works_on(1, 5)
        assert run(ALIVE, port, tmp_path / "steps") == 0
        server.status = None
        assert [run(command, port, tmp_path / "steps") for command in commands(plan())] == [0, 1]


def test_health_command_fails_if_the_server_did_not_answer_for_long(tmp_path: Path) -> None:
    with serving(server := Server()) as port:
        assert run(ALIVE, port, tmp_path / "steps") == 0
        server.status = None
        make_old(tmp_path, 301)
        assert run(ALIVE, port, tmp_path / "steps") == 1


def test_health_command_fails_if_the_server_does_not_listen() -> None:
    with create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert [run(command, port) for command in commands(plan())] == [1, 1]


def make_old(folder: Path, seconds: float) -> None:
    """Let the file of the steps be from some seconds ago."""
    (file,) = folder.iterdir()
    os.utime(file, (time.time() - seconds,) * 2)


@pytest.mark.parametrize(("age", "steps", "failed"), [(301, 5, 1), (290, 5, 0), (3000, 6, 0)])
def test_health_command_fails_if_requests_run_without_a_step(
    tmp_path: Path, age: float, steps: int, failed: int
) -> None:
    with serving(server := Server()) as port:
        server.works_on(2, 5)
        assert run(ALIVE, port, tmp_path / "steps") == 0
        make_old(tmp_path, age)
        server.works_on(2, steps)
        assert run(ALIVE, port, tmp_path / "steps") == failed
    assert not server.asked


@pytest.mark.parametrize(
    ("token", "age", "failed"),
    [(200, 3000, 0), (401, 3000, 0), (None, 200, 0), (None, 301, 1)],
)
def test_health_command_asks_an_idle_engine_for_a_token(
    tmp_path: Path, token: int | None, age: float, failed: int
) -> None:
    with serving(server := Server(token=token)) as port:
        server.works_on(0, 5)
        assert run(ALIVE, port, tmp_path / "steps") == 0
        assert not server.asked
        make_old(tmp_path, age)
        assert run(ALIVE, port, tmp_path / "steps") == failed
        assert server.asked == [{"prompt": "Hello", "max_tokens": 1}]
        if token:  # it was answered: asked again only after another while without a step
            assert run(ALIVE, port, tmp_path / "steps") == 0
            assert len(server.asked) == 1


def test_health_command_sends_the_key_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-1")
    with serving(server := Server()) as port:
        run(ALIVE, port, tmp_path / "steps")
        make_old(tmp_path, 200)
        run(ALIVE, port, tmp_path / "steps")
    assert server.keys == ["Bearer sk-1"]


def test_health_command_fails_for_no_file_that_cannot_be_written(tmp_path: Path) -> None:
    with serving(Server()) as port:
        assert run(ALIVE, port, tmp_path / "missing" / "steps") == 0


def test_health_command_is_one_line_that_no_unit_file_expands() -> None:
    for command in commands(plan()):
        assert not set(command[2]) & set('\\%$"\n')


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, health.Endpoint("127.0.0.1", 8000)),
        ({"--host": "0.0.0.0"}, health.Endpoint("127.0.0.1", 8000)),
        ({"--host": "::"}, health.Endpoint("::1", 8000)),
        ({"--host": "10.0.0.7"}, health.Endpoint("10.0.0.7", 8000)),
        ({"--ssl-certfile": "/c"}, health.Endpoint("127.0.0.1", 8000, tls=True)),
        ({"--ssl-certfile": "/c", "--ssl-cert-reqs": "2"}, None),
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
