"""Run vLLM's client: its options, its progress, and a vLLM that does not know a shortened option."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed
from launch.bench.load_client import LoadClient, saving
from launch.bench.presets import command, load_presets
from launch.bench.result import UnusableResult, parse
from launch.bench.run import latency_from_schedule
from launch.bench.target import Target
from tests.unit.launch.bench.results_data import saved

SHORT, LONG = ("bench", "--num-prompt", "4"), ("bench", "--num-prompts", "4")
Client = Callable[..., LoadClient]


@pytest.fixture
def client() -> Client:
    """Return a client for whose commands `answers` has the status and the output."""

    def make(answers: dict[tuple[str, ...], tuple[int, str]], done: list[int] | None = None) -> LoadClient:
        def run_attached(argv: tuple[str, ...], show: Callable[[str], None], *_: Any) -> tuple[int, str]:
            for line in answers[argv][1].splitlines():
                show(line)
            return answers[argv]

        instance = SimpleNamespace(run_attached=run_attached, run=lambda argv: answers[tuple(argv[:1])])
        target = Target(instance, "http://x", "m")
        progressed = (done if done is not None else []).append
        return LoadClient(target, 4, "/tmp/r.json", progressed, lambda pid: None)

    return make


def test_run_follows_the_bar_of_its_own_requests(client: Client) -> None:
    done: list[int] = []
    output = "  0%| | 0/4 [00:00<?]\n 50%| | 1/2 [a download]\n 50%| | 2/4 [00:01<00:01, 2.0it/s]\nx"
    assert client({SHORT: (0, output)}, done).run(SHORT, LONG) == SHORT
    assert done == [0, 2]


@pytest.mark.parametrize(
    "message", ["error: unrecognized arguments: --num-prompt", "error: ambiguous option: --n"]
)
def test_a_vllm_that_does_not_know_a_short_option_gets_its_full_name(message: str, client: Client) -> None:
    assert client({SHORT: (2, message), LONG: (0, "")}).run(SHORT, LONG) == LONG


def test_another_error_is_reported_with_its_last_line(client: Client) -> None:
    with pytest.raises(Failed, match="vllm bench serve exited with 1") as failed:
        client({SHORT: (1, "Traceback:\n  File x\nValueError: no model\n")}).run(SHORT, LONG)
    assert failed.value.why == "ValueError: no model"


@pytest.mark.parametrize(
    ("answer", "what"),
    [((1, "cat: no such file"), "saved no result"), ((0, " \n"), "saved an empty result")],
)
def test_a_result_that_is_missing_or_empty_is_one_clear_error(
    answer: tuple[int, str], what: str, client: Client
) -> None:
    with pytest.raises(UnusableResult, match=what):
        client({("cat",): answer}).result()


def test_result_is_read_and_removed(client: Client) -> None:
    assert client({("cat",): (0, "{}"), ("rm",): (0, "")}).result() == "{}"


def test_saving_keeps_the_command_of_the_guide_and_adds_a_seed() -> None:
    guide = command(load_presets()["guide-cuda"], "m")
    argv = saving(guide, 7, 8000, "/tmp/r.json")
    assert argv[: len(guide)] == guide
    assert " ".join(argv[len(guide) :]).startswith("--seed 7 --port 8000 --save-result --save-detailed")


def test_latency_from_the_schedule_includes_the_queue_of_the_client() -> None:
    late = parse(json.dumps(saved(queue_times=[0.0, 0.0, 0.0, 4.0])), 4)
    assert latency_from_schedule(late, 10) == {"mean": 2000, "median": 1000}
    assert latency_from_schedule(late, None) == {}
    many = parse(json.dumps(saved(300)), 300)
    assert latency_from_schedule(many, 10)["p99"] == 1000
