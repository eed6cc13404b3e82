"""`invoke bench` on a stand-in for vLLM, compared with earlier runs: noise, the last run, a gate, wrong requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch.bench.records import read_all
from tests.conftest import MODEL
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

NAME = "slipway-test-bench-comparison"
SLOW = "/tmp/bench-is-slow"
SMALL = ("--scale", "0.01")


@pytest.fixture(scope="module")
def server(engine: DockerClient, stand_in: str, hub_cache: Path) -> Iterator[Container]:
    """The container of a running stand-in; removed at the end."""
    wanted = ("--platform", "cpu", "--model", MODEL, "--image", stand_in, "--vllm", "0.32.0")
    options = ("--name", NAME, "--port", "auto", "--env", "STAND_IN=serves-counting", "--replace")
    invoke("run", *wanted, *options, HF_HUB_CACHE=str(hub_cache)).ok()
    container = engine.containers.get(NAME)
    yield container
    container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def results(server: Container, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a measurement of the noise."""
    folder = tmp_path_factory.mktemp("results")
    finished = bench(folder, "--noise").ok()
    assert "noise of this host (5 runs of one start): output tokens: " in finished.out
    return folder


@pytest.fixture(scope="module")
def baseline(results: Path) -> str:
    path = results.parent / "baseline.jsonl"
    path.write_text("".join(file.read_text() for file in sorted(results.glob("*.bench.jsonl"))))
    return str(path)


def bench(folder: Path, *options: str) -> Finished:
    return invoke("bench", NAME, *SMALL, "--results", str(folder), *options)


def test_runs_are_compared_with_the_last_ones_and_what_changed(results: Path) -> None:
    group = read_all(results)[0].group
    finished = bench(results, "--repeat", "2", "--against", "last").ok()
    assert f"compared with {group} (" in finished.out
    assert "one start each" in finished.out
    changed = [line for line in finished.out.splitlines() if line.startswith("changed: ")]
    assert len(changed) == 1
    assert re.match("changed: (nothing that is recorded|CPUs used by other programs: )", changed[0])
    assert "the noise of this host is not measured" not in finished.out


def test_a_gate_fails_for_runs_that_are_slower(server: Container, baseline: str, tmp_path: Path) -> None:
    server.exec_run(["touch", SLOW])
    try:
        finished = bench(tmp_path, "--repeat", "2", "--gate", baseline, "--format", "json")
    finally:
        server.exec_run(["rm", SLOW])
    gate = json.loads(finished.out)["gate"]
    assert (finished.code, gate["result"]) == (1, "regression"), finished.err
    assert "slower than the baseline" in finished.err


def test_a_gate_that_cannot_tell_from_one_run_adds_runs(baseline: str, tmp_path: Path) -> None:
    finished = bench(tmp_path, "--gate", baseline, "--max-regression", "90%")
    assert finished.code == 0, finished.err
    assert finished.out.rstrip().endswith("gate: passed")
    assert 2 <= len(read_all(tmp_path)) <= 6
    assert len({record.group for record in read_all(tmp_path)}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--against", "nope"), "unknown run 'nope'"),
        (("--against", "absent.jsonl"), "cannot read 'absent.jsonl'"),
        (("--gate", "absent.jsonl"), "cannot read 'absent.jsonl'"),
        (("--gate", "{baseline}", "--metric", "ttft"), "unknown metric 'ttft'"),
        (("--gate", "{baseline}", "--preset", "guide-rocm"), "different workloads"),
        (("--gate", "{baseline}", "--max-regression", "5"), "--max-regression must be a percentage"),
        (("--noise", "--repeat", "2"), "--noise needs --repeat 4 or more (got '2')"),
    ],
)
def test_a_wrong_comparison_is_refused_before_a_run(
    options: tuple[str, ...], message: str, baseline: str, results: Path
) -> None:
    before = len(read_all(results))
    finished = bench(results, *(word.format(baseline=baseline) for word in options))
    assert finished.code == 2
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert len(read_all(results)) == before
