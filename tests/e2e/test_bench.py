"""Benchmarks of real vLLM on a CPU: `pytest -m slow tests/e2e/test_bench.py`. The last tests end the server."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.bench.lock import only_benchmark_of
from launch.bench.presets import Preset, command, load_presets
from launch.bench.record import Record
from launch.bench.records import read_all
from launch.bench.run import Repeat, Workload, measure
from launch.bench.target import Target, of_container
from launch.serving.openai_client import ask
from tests import invocation
from tests.conftest import MODEL
from tests.e2e.conftest import free_port
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = pytest.mark.slow
NAME = "slipway-bench-test"
PROXY_PORT = 8001
# A proxy in the container that ends one streamed answer early, with the end that HTTP asks for.
PROXY = """
import asyncio
events = 0

async def pump(reader, writer, cuts):
    global events
    while data := await reader.read(65536):
        before, events = events, events + cuts * data.count(b"data: ")
        if cuts and before < 30 <= events and data.endswith(b"\\r\\n"):
            writer.write(data + b"0\\r\\n\\r\\n")
            break
        writer.write(data)
        await writer.drain()
    writer.close()

async def serve(reader, writer):
    up = await asyncio.open_connection("127.0.0.1", 8000)
    await asyncio.gather(pump(reader, up[1], False), pump(up[0], writer, True), return_exceptions=True)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 8001)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server(cpu_image: str, engine: DockerClient, hub_cache: Path) -> Iterator[Container]:
    """The container of a server with the tiny model; removed at the end."""
    wanted = ("--platform", "cpu", "--model", MODEL, "--name", NAME, "--port", free_port(), "--replace")
    cached = ("--set", "--enable-prefix-caching=true")  # the recipe turns it off
    invoke("run", *wanted, *cached, HF_HUB_CACHE=str(hub_cache)).ok()
    container = engine.containers.get(NAME)
    yield container
    container.remove(force=True, v=True)


@pytest.fixture
def target(server: Container, engine: DockerClient) -> Iterator[Target]:
    """The server, locked for this test."""
    with only_benchmark_of(NAME, str(server.short_id)) as lock:
        yield of_container(engine, server, lock)


def workload(container: Container, scale: float, name: str = "guide-cuda", **changes: int) -> Workload:
    """Return a load, scaled, for the server."""
    preset: Preset = load_presets()[name]
    argv = list(command(preset, MODEL, scale, container.labels["slipway.commit"]))
    for option, number in changes.items():
        argv[argv.index(f"--{option.replace('_', '-')}") + 1] = str(number)
    return Workload(name, preset, tuple(argv), scale)


def run(target: Target, work: Workload, **repeat: int) -> Record:
    """Measure one run without a warm-up."""
    of_group = Repeat("group", **repeat)
    return measure(target, work, of_group, lambda done, total, note: None, lambda record: None).record


def void_rules(record: Record) -> set[str]:
    return {remark.rule for remark in record.validity.remarks if remark.outcome == "void"}


def benchmarks_in(container: Container) -> list[str]:
    return [words[-1] for words in container.top()["Processes"] if "bench serve" in words[-1]]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_command_of_the_guide_typed_before_does_not_change_a_run(
    server: Container, target: Target
) -> None:
    """Seeds are fixed: with 416 tokens in the vocabulary, prompts of two seeds may be equal; of 0 and 2 they differ."""
    work = workload(server, 0.02, random_input=300)
    status, output = server.exec_run([*work.argv, "--port", "8000"])  # seed 0, as the guide has it
    assert status == 0, output
    again, other = run(target, work, seed=0), run(target, work, seed=2)
    assert void_rules(again) == {"fresh prompts"}
    assert "of the prompt tokens were read from the prefix cache" in again.validity.remarks[0].sentence
    assert not void_rules(other), other.validity


def test_a_run_has_figures_and_counts_what_the_server_counts(server: Container, tmp_path: Path) -> None:
    """Prompts are shorter than a block of the prefix cache, so that none of them is read from it."""
    options = ("--scale", "0.06", "--repeat", "2", "--results", str(tmp_path))
    invoke("bench", NAME, *options).ok()
    records = read_all(tmp_path)
    assert len({record.seed for record in records}) == 2
    for record in records:
        assert record.metrics.generation_tokens == record.result["total_output_tokens"]
        assert (record.metrics.prefix_hits, record.metrics.preemptions) == (0, 0)
        assert record.server.kv_cache_tokens
        assert record.server.start_seconds["import"] > 0
        assert record.host.energy_joules or record.host.energy_reason


@pytest.mark.parametrize("name", ["guide-rocm", "chat", "agent", "long-context", "code"])
def test_every_preset_runs(name: str, server: Container, target: Target) -> None:
    record = run(target, workload(server, 0.003, name))
    assert not void_rules(record), record.validity
    assert record.result["total_output_tokens"] == record.load.requests * (record.load.output_len or 0)


def test_another_client_makes_a_run_void(server: Container, target: Target) -> None:
    stop = threading.Event()

    def chat() -> None:
        while not stop.wait(0.2):
            list(ask(target.url, MODEL, "Hello", max_tokens=8))

    client = threading.Thread(target=chat)
    client.start()
    try:
        record = run(target, workload(server, 0.1))
    finally:
        stop.set()
        client.join()
    assert "alone" in void_rules(record)


def test_a_stream_that_a_proxy_ends_early_makes_a_run_void(server: Container, target: Target) -> None:
    server.exec_run(["python3", "-c", PROXY], detach=True)
    listens = ["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {PROXY_PORT}))"]
    wait_for(lambda: server.exec_run(listens)[0] == 0, "the proxy does not listen")
    record = run(replace(target, port=PROXY_PORT), workload(server, 0.1))
    assert record.result["failed"] == 0
    assert "all answered" in void_rules(record)
    assert "1 answers do not have the 102 tokens asked for" in record.validity.remarks[0].sentence


@pytest.fixture
def started(server: Container, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A benchmark in the middle of its run."""
    process = invocation.start("bench", NAME, "--scale", "0.4", "--results", str(tmp_path))
    wait_for(lambda: any(r.finished_requests for r in read_all(tmp_path)), "no request was answered")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_client_that_is_stopped_ends_its_load_and_leaves_a_record(
    name: str, started: subprocess.Popen[str], server: Container, tmp_path: Path
) -> None:
    started.send_signal(signal.Signals[name])
    _, err = started.communicate(timeout=30)
    assert "Traceback" not in err
    wait_for(lambda: not benchmarks_in(server), "the load continues", seconds=10)
    (record,) = read_all(tmp_path)
    assert (record.status, record.validity.outcome) == ("interrupted", "void")
    assert record.finished_requests
    assert record.finished_requests < record.load.requests


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can fill a file system of its own")
def test_a_disk_that_is_full_after_the_run_does_not_lose_its_figures(
    server: Container, tmp_path: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=True)
    try:
        process = invocation.start("bench", NAME, "--scale", "0.1", "--results", str(tmp_path))
        wait_for(lambda: read_all(tmp_path), "the run did not start")
        with (tmp_path / "full").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        out, err = process.communicate(timeout=120)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
    assert process.returncode == 1
    assert "output token throughput:" in out
    assert "No space left on device" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_server_that_is_ended_makes_a_run_void(
    name: str, started: subprocess.Popen[str], server: Container, tmp_path: Path
) -> None:
    """After SIGTERM, vLLM may refuse requests before it ends, or wait for clients that wait for their answers."""
    server.kill(name)
    _, err = started.communicate(timeout=150)
    invoke("restart", NAME).ok()
    assert started.returncode == 1, err
    assert "Traceback" not in err
    (record,) = read_all(tmp_path)
    assert record.validity.outcome == "void"
    sentences = [remark.sentence for remark in record.validity.remarks]
    ended = ("the server's container ended", "the server did not answer for 60 s")
    refused = name == "SIGTERM" and "all answered" in void_rules(record)
    assert refused or any(sentence.startswith(ended) for sentence in sentences), sentences
