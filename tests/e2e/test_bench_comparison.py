"""Compare real vLLM with itself, and with itself 20 % slower: `pytest -m slow tests/e2e/test_bench_comparison.py`.

The second server is the first one, whose processes are stopped for 20 ms of every 100 ms, so that nothing else of it
changes. A host that does other work meanwhile has more noise; then a comparison cannot tell, and must not be wrong.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from launch.bench.compare_runs import compare_runs
from launch.bench.comparison import Outcome
from launch.bench.history import Side
from launch.bench.metrics import MAIN
from launch.bench.record import Record
from tests.conftest import MODEL
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop a process of a container from the host"),
]
NAME = "slipway-bench-test"
LOAD = ("--preset", "chat", "--scale", "0.05")
GROUP = 3  # runs of one side of an A/A comparison
GROUPS = 13  # 12 comparisons with the next group and 8 with the one after it
STOPPED, PERIOD = 0.02, 0.1  # seconds


@pytest.fixture(scope="module")
def server(cpu_image: str, settings: dict[str, str]) -> Iterator[str]:
    """A server without prefix caching, because random prompts of a small vocabulary have prefixes in common."""
    words = [NAME if word == "slipway-test-tiny" else word for word in WANTED]
    uncached = ("--set", "--no-enable-prefix-caching=true")
    invoke("run", *words, *uncached, "--port", free_port(), "--replace", **settings).ok()
    yield NAME
    invoke("stop", NAME)


def measured(repeats: int) -> tuple[Record, ...]:
    """Return the runs of one benchmark."""
    found: dict[str, Any] = invoke("bench", NAME, *LOAD, "--repeat", str(repeats), "--format", "json").json
    return tuple(Record.model_validate(run) for run in found["runs"])


@contextmanager
def slowed_down(container: Container) -> Iterator[None]:
    """Stop every process of the server for STOPPED seconds of each PERIOD; the client of a benchmark is not stopped."""
    table = container.top()
    command, pid = table["Titles"].index("CMD"), table["Titles"].index("PID")
    pids = [int(row[pid]) for row in table["Processes"] if "bench" not in row[command]]
    end = threading.Event()

    def send(number: signal.Signals) -> None:
        for one in pids:
            with suppress(ProcessLookupError):
                os.kill(one, number)

    def repeat() -> None:
        while not end.wait(PERIOD - STOPPED):
            send(signal.SIGSTOP)
            time.sleep(STOPPED)
            send(signal.SIGCONT)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        send(signal.SIGCONT)


def outcome(old: tuple[Record, ...], new: tuple[Record, ...]) -> Outcome:
    return compare_runs(Side("old", old), Side("new", new)).row(MAIN).comparison.outcome


def test_twenty_comparisons_of_a_server_with_itself_are_wrong_twice_at_most(server: str) -> None:
    runs = measured(GROUP * GROUPS)
    groups = [runs[i : i + GROUP] for i in range(0, len(runs), GROUP)]
    pairs = [*pairwise(groups), *list(zip(groups, groups[2:], strict=False))[:8]]
    outcomes = [outcome(old, new) for old, new in pairs]
    print([run.result[MAIN] for run in runs], outcomes)
    assert len(outcomes) == 20
    assert sum(one in (Outcome.FASTER, Outcome.SLOWER) for one in outcomes) <= 2


def test_a_server_that_is_20_percent_slower_is_found_with_five_runs(
    server: str, engine: DockerClient
) -> None:
    old = measured(5)
    with slowed_down(engine.containers.get(NAME)):
        new = measured(5)
    again = measured(5)
    print([[run.result[MAIN] for run in runs] for runs in (old, new, again)])
    assert outcome(old, new) is Outcome.SLOWER
    assert outcome(new, again) is Outcome.FASTER


def test_bench_against_the_last_run_and_a_gate(server: str, engine: DockerClient, tmp_path: Any) -> None:
    folder = ("--results", str(tmp_path))
    invoke("bench", NAME, *LOAD, "--repeat", "4", "--noise", *folder).ok()
    baseline = tmp_path / "baseline.jsonl"
    baseline.write_text("".join(path.read_text() for path in sorted(tmp_path.glob("*.bench.jsonl"))))
    same = invoke("bench", NAME, *LOAD, "--repeat", "3", "--against", "last", *folder).ok()
    assert "compared with" in same.out
    assert "changed: nothing that is recorded" in same.out
    with slowed_down(engine.containers.get(NAME)):
        slow = invoke("bench", NAME, *LOAD, "--repeat", "5", "--gate", str(baseline), *folder)
    assert slow.code == 1
    assert "slower than the baseline" in slow.err
    assert invoke("report", *folder).ok().out.count(MODEL) == 1
