"""A real Prometheus asks real vLLM with the rendered configuration: every query of the dashboard returns data."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from launch.render.monitoring.dashboard import panels
from tests.conftest import MODEL
from tests.e2e.conftest import free_port
from tests.invocation import invoke

NAME = "slipway-monitoring-test"  # not the name of the servers of other tests, which may run meanwhile
WANTED = ("--platform", "cpu", "--model", MODEL, "--name", NAME)
SECONDS = 30  # of requests; a rate needs two readings with requests between them
EXPRESSIONS = [(panel.title, query.expr) for panel in panels() for query in panel.queries]


@pytest.fixture(scope="module")
def server(cpu_image: str, settings: dict[str, str]) -> Iterator[str]:
    """The port of a server with a prefix cache, which the tiny model's recipe leaves out."""
    if not shutil.which("prometheus"):
        pytest.skip("no prometheus (Debian: apt-get install prometheus)")
    port, cached = free_port(), ("--set", "--enable-prefix-caching=true")
    invoke("run", *WANTED, *cached, "--port", port, "--replace", **settings).ok()
    yield port
    invoke("stop", "--name", NAME)


@pytest.fixture(scope="module")
def prometheus(
    server: str, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a Prometheus that has watched a server under load. Its configuration is the rendered one."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    words = ("plan", *WANTED, "--format", "compose", "--monitoring", "--output", str(folder))
    invoke(*words, **settings).ok()
    text = (folder / "monitoring" / "prometheus.yml").read_text()
    assert "server:8000" in text
    # The server is on loopback here and not on the network of the Compose file; a test has no 10 s.
    config = text.replace("server:8000", f"127.0.0.1:{server}").replace("10s", "1s")
    (folder / "prometheus.yml").write_text(config)
    address = f"127.0.0.1:{port}"
    argv: list[str | Path] = [
        "prometheus",
        "--config.file",
        folder / "prometheus.yml",
        "--storage.tsdb.path",
        folder / "data",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*argv, "--web.listen-address", address], stdout=log, stderr=log)
    try:
        _load(server)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _load(port: str) -> None:
    """Send requests from two threads for some seconds."""
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=_ask, args=(port, until)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(port: str, until: float) -> None:
    body = {"prompt": "What is a slipway? " * 40, "max_tokens": 64, "ignore_eos": True}
    request = (f"http://127.0.0.1:{port}/v1/completions", json.dumps({"model": MODEL, **body}).encode())
    while time.monotonic() < until:
        headers = {"Content-Type": "application/json"}
        urlopen(Request(*request, headers=headers), timeout=60).read()


def query(address: str, expression: str) -> list[Any]:
    """Return the values of an instant query."""
    with urlopen(f"http://{address}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as answer:
        found = json.load(answer)
    assert found["status"] == "success"
    return [float(series["value"][1]) for series in found["data"]["result"]]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_every_query_of_the_dashboard_returns_data(prometheus: str, title: str, expression: str) -> None:
    text = expression.replace("$server", 'job="slipway",instance=~".*"').replace("$window", "20s")
    values = query(prometheus, text)
    assert values, f"{title}: no series"
    assert all(math.isfinite(value) for value in values), f"{title}: {values}"


def test_the_rates_are_those_of_the_load(prometheus: str) -> None:
    (tokens,) = query(prometheus, 'sum(rate(vllm:generation_tokens_total{job="slipway"}[20s]))')
    assert tokens > 0


def test_the_dashboards_variable_lists_the_server(prometheus: str, server: str) -> None:
    with urlopen(f"http://{prometheus}/api/v1/label/instance/values", timeout=10) as answer:
        assert json.load(answer)["data"] == [f"127.0.0.1:{server}"]


def test_the_configuration_is_one_that_promtool_accepts(prometheus: str, tmp_path: Path) -> None:
    with urlopen(f"http://{prometheus}/api/v1/status/config", timeout=10) as answer:
        file = tmp_path / "prometheus.yml"
        file.write_text(json.load(answer)["data"]["yaml"])
    subprocess.run(["promtool", "check", "config", file], check=True, capture_output=True)
