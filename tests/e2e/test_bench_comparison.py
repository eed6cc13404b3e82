"""Compare real vLLM with itself, and with itself 20 % slower: `pytest -m slow tests/e2e/test_bench_comparison.py`.

The server has less CPU time than the host could give it, so that other programs of the host disturb it little. For
the slower server this limit is 20 % lower, and nothing else of it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from launch.bench.compare_runs import compare_runs
from launch.bench.comparison import Outcome
from launch.bench.history import Side
from launch.bench.metrics import MAIN
from launch.bench.record import Record
from tests.conftest import MODEL, SERVER
from tests.e2e.conftest import WANTED, free_port
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

pytestmark = pytest.mark.slow
NAME = "slipway-bench-test"
LOAD = ("--preset", "chat", "--scale", "0.05")
GROUP = 3  # runs of one side of an A/A comparison
GROUPS = 13  # 12 comparisons with the next group and 8 with the one after it
PERIOD = 100_000  # microseconds
CPU_TIME, LESS_CPU_TIME = 80_000, 64_000  # microseconds of each period


@pytest.fixture(scope="module")
def server(engine: DockerClient, cpu_image: str, settings: dict[str, str]) -> Iterator[str]:
    """A server without prefix caching, because random prompts of a small vocabulary have prefixes in common."""
    words = [NAME if word == SERVER else word for word in WANTED]
    uncached = ("--set", "--no-enable-prefix-caching=true")
    invoke("run", *words, *uncached, "--port", free_port(), "--replace", **settings).ok()
    engine.containers.get(NAME).update(cpu_period=PERIOD, cpu_quota=CPU_TIME)
    yield NAME
    invoke("stop", NAME)


def measured(repeats: int) -> tuple[Record, ...]:
    """Return the runs of one benchmark."""
    found: dict[str, Any] = invoke("bench", NAME, *LOAD, "--repeat", str(repeats), "--format", "json").json
    return tuple(Record.model_validate(run) for run in found["runs"])


@contextmanager
def slowed_down(container: Container) -> Iterator[None]:
    """Give the server 20 % less CPU time."""
    container.update(cpu_period=PERIOD, cpu_quota=LESS_CPU_TIME)
    try:
        yield
    finally:
        container.update(cpu_period=PERIOD, cpu_quota=CPU_TIME)


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
    assert "changed: CPUs of the container: 0.8 -> 0.64" in slow.out
    assert invoke("report", *folder).ok().out.count(MODEL) == 1
