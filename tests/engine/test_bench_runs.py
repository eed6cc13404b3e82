"""`invoke bench` on a stand-in for vLLM: what ends a run, what it leaves, and what is refused."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker.errors import APIError

from launch.bench.record import Record
from launch.bench.records import read_all
from launch.serving.openai_client import ask
from tests import invocation
from tests.conftest import MODEL
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

NAME = "slipway-test-bench"
SLOW = "/tmp/bench-is-slow"
SMALL = ("--scale", "0.01")
Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture(scope="module")
def server(engine: DockerClient, stand_in: str, hub_cache: Path) -> Iterator[Container]:
    """The container of a running stand-in; removed at the end."""
    wanted = ("--platform", "cpu", "--model", MODEL, "--image", stand_in, "--vllm", "0.32.0")
    options = ("--name", NAME, "--port", "auto", "--env", "STAND_IN=serves-counting", "--replace")
    invoke("run", *wanted, *options, HF_HUB_CACHE=str(hub_cache)).ok()
    container = engine.containers.get(NAME)
    yield container
    container.remove(force=True, v=True)


@pytest.fixture
def slow(server: Container) -> Iterator[None]:
    """The requests of a benchmark are a second apart."""
    server.exec_run(["touch", SLOW])
    yield
    with suppress(APIError):  # a test that ended the server has removed the file with it
        server.exec_run(["rm", SLOW])


@pytest.fixture
def started(slow: None, tmp_path: Path) -> Iterator[Start]:
    """Start a benchmark with slow requests and wait for its first record."""
    processes: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = invocation.start("bench", NAME, *SMALL, "--results", str(tmp_path))
        processes.append(process)
        deadline = time.monotonic() + 60
        while not any(record.finished_requests is not None for record in read_all(tmp_path)):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the benchmark did not start"
            time.sleep(0.05)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def bench(folder: Path, *options: str) -> tuple[Finished, list[Record]]:
    """Run `invoke bench` and return what it printed and what it recorded."""
    finished = invoke("bench", NAME, *SMALL, "--results", str(folder), *options)
    return finished, read_all(folder)


def benchmarks_in(container: Container) -> list[str]:
    return [words[-1] for words in container.top()["Processes"] if "bench" in words[-1]]


def wait_until_idle(container: Container) -> None:
    deadline = time.monotonic() + 10  # a signal takes a moment to arrive
    while running := benchmarks_in(container):
        assert time.monotonic() < deadline, f"still running: {running}"


def test_repeats_are_one_group_with_new_prompts_each(server: Container, tmp_path: Path) -> None:
    finished, records = bench(tmp_path, "--repeat", "2")
    assert finished.code == 0, finished.err
    assert [(record.repeat, record.repeats, record.status) for record in records] == [
        (1, 2, "complete"), (2, 2, "complete"),
    ]  # fmt: skip
    assert len({record.group for record in records}) == 1
    assert len({record.seed for record in records}) == 2
    assert all(f"--seed {record.seed}" in " ".join(record.argv) for record in records)
    assert all((tmp_path / record.requests_file).exists() for record in records)
    assert finished.out.count("validity:") == 2


def test_another_benchmark_is_refused_and_another_client_makes_a_run_void(
    started: Start, server: Container, tmp_path: Path
) -> None:
    process = started()
    body = json.dumps({"prompt": [1], "max_tokens": 5}).encode()
    urllib.request.urlopen(f"{server.labels['slipway.url']}/v1/completions", body).read()
    second = invoke("bench", NAME, *SMALL, "--results", str(tmp_path / "second"))
    assert second.code == 2
    assert f"another benchmark of '{NAME}' is running" in second.err
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert out.count("validity:") == 1
    (record,) = read_all(tmp_path)
    assert record.validity.outcome == "void"
    assert [remark.rule for remark in record.validity.remarks if remark.outcome == "void"] == ["alone"]


def test_ctrl_c_ends_the_load_and_leaves_an_interrupted_record(
    started: Start, server: Container, tmp_path: Path
) -> None:
    process = started()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    wait_until_idle(server)
    (record,) = read_all(tmp_path)
    assert (record.status, record.validity.outcome) == ("interrupted", "void")
    assert record.validity.remarks[0].sentence.startswith("it was interrupted after ")


def test_a_killed_client_ends_the_load_and_leaves_an_interrupted_record(
    started: Start, server: Container, tmp_path: Path
) -> None:
    process = started()
    process.kill()
    process.wait()
    wait_until_idle(server)
    (record,) = read_all(tmp_path)
    assert (record.status, record.validity.outcome) == ("interrupted", "void")


def test_results_that_cannot_be_written_are_refused_before_the_run(server: Container) -> None:
    finished = invoke("bench", NAME, *SMALL, "--results", "/dev/full")
    assert finished.code == 1
    assert "cannot write to '/dev/full'" in finished.err
    assert "Traceback" not in finished.err


def test_a_restart_in_the_middle_makes_a_run_void(started: Start, server: Container, tmp_path: Path) -> None:
    process = started()
    server.restart(timeout=1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    (record,) = read_all(tmp_path)
    assert (record.status, record.validity.outcome) == ("interrupted", "void")
    # The container is up again, or not yet.
    assert re.match("the server's container (was restarted|ended)", record.validity.remarks[0].sentence)


def test_a_server_that_is_killed_makes_a_run_void(started: Start, server: Container, tmp_path: Path) -> None:
    list(ask(server.labels["slipway.url"], MODEL, "What is 2 + 3?"))
    process = started()
    server.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    (record,) = read_all(tmp_path)
    assert (record.status, record.validity.outcome) == ("interrupted", "void")
    assert record.validity.remarks[0].sentence.startswith("the server's container ended")
