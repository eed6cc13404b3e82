"""Each rule of validity: what it accepts, and what it says of a run that it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from launch.bench.record import GpuReading, Host, HostReading, Load, Metrics
from launch.bench.result import Request, parse
from launch.bench.validity import RULES, CanaryAnswer, Facts, judge, void
from tests.unit.launch.bench.results_data import saved

REQUESTS, TOKENS = 40, 20
METRICS = Metrics(
    generation_tokens=REQUESTS * TOKENS, prompt_tokens=REQUESTS * 41, prefix_queries=REQUESTS * 41, prefix_hits=0,
    preemptions=0, ttft_mean_s=0.1, e2e_mean_s=1.0, running_before=0, waiting_before=0,
)  # fmt: skip
GONE = "the server's container was restarted"
CLOSED = Load(dataset="random", input_len=41, output_len=TOKENS, requests=REQUESTS, concurrency=1)


def facts(result: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """Return the facts of a good run: 40 requests of a second each, one at a time; with changes."""
    read = parse(json.dumps(saved(REQUESTS, TOKENS, **(result or {}))), REQUESTS)
    good = Facts(CLOSED, read, METRICS, Host(cpu_threads=2), fresh_tokens=41, fixed_output=True)
    return replace(good, **changes)


def metrics(**changes: Any) -> Metrics:
    return METRICS.model_copy(update=changes)


def found(facts: Facts) -> list[tuple[str, str]]:
    """Return rule and outcome of every remark."""
    return [(remark.rule, remark.outcome) for remark in judge(facts).remarks]


def sentence(facts: Facts) -> str:
    """Return the only remark."""
    (remark,) = judge(facts).remarks
    return remark.sentence


def test_a_good_run_has_no_remarks() -> None:
    validity = judge(facts())
    assert (validity.outcome, validity.remarks) == ("good", ())


def test_a_remark_makes_no_run_void_and_one_void_rule_does() -> None:
    short = facts(on_gpu=True)
    assert judge(short).outcome == "remarks"
    assert judge(replace(short, gone=GONE)).outcome == "void"


def test_every_rule_says_what_it_checks() -> None:
    assert all(rule.__doc__ for rule in RULES)


def test_void_gives_the_reason_of_a_run_without_figures() -> None:
    assert void("complete", "it was interrupted").remarks[0].sentence == "it was interrupted"


# All answered


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"completed": 2}, "2 of 40 requests were answered"),
        ({"completed": 39, "failed": 1, "errors": [""] * 39 + ["Traceback\nTimeoutError: slow"]},
         "39 of 40 requests were answered: TimeoutError: slow"),
        ({"completed": 0, "failed": 40, "total_output_tokens": 0}, "0 of 40 requests were answered"),
        ({"completed": 41}, "41 of 40 requests were answered"),
    ],
)  # fmt: skip
def test_a_request_without_an_answer_makes_a_run_void(change: dict[str, Any], text: str) -> None:
    remarks = judge(facts(change)).remarks
    assert remarks[0].sentence == text
    assert remarks[0].outcome == "void"


def test_answers_without_tokens_are_void() -> None:
    empty = facts({"total_output_tokens": 0}, fixed_output=False, metrics=metrics(generation_tokens=0))
    assert sentence(empty) == "the answers have no tokens"


def test_an_answer_of_another_length_is_void() -> None:
    cut = facts({"output_lens": [20] * 39 + [7]})
    assert found(cut) == [("all answered", "void")]
    assert sentence(cut).startswith("1 answers do not have the 20 tokens asked for; the first of them has 7")


def test_answers_end_where_the_model_ends_them_if_the_end_counts() -> None:
    assert found(facts({"output_lens": [20] * 39 + [7]}, fixed_output=False)) == []


def test_a_result_without_details_is_a_remark() -> None:
    assert found(facts({"ttfts": None})) == [("all answered", "remarks")]


# Fresh prompts


@pytest.mark.parametrize(("hits", "outcome"), [(0, []), (16, []), (17, [("fresh prompts", "void")])])
def test_more_than_one_percent_of_cached_prompts_is_void(hits: int, outcome: list[tuple[str, str]]) -> None:
    assert found(facts(metrics=metrics(prefix_hits=hits))) == outcome


def test_a_shared_prefix_on_purpose_is_expected() -> None:
    assert found(facts(fresh_tokens=10, metrics=metrics(prefix_hits=31 * REQUESTS))) == []
    again = sentence(facts(fresh_tokens=10, metrics=metrics(prefix_hits=40 * REQUESTS)))
    assert again.startswith("97.6% of the prompt tokens were read from the prefix cache, at most 75.6%")


def test_a_server_without_prefix_caching_has_fresh_prompts() -> None:
    assert found(facts(metrics=metrics(prefix_queries=0))) == []


def test_a_server_without_the_counters_is_a_remark() -> None:
    bare = facts(metrics=Metrics())
    assert found(bare) == [("fresh prompts", "remarks"), ("alone", "remarks")]


# Alone


def test_requests_before_the_run_are_void() -> None:
    busy = facts(metrics=metrics(running_before=1, waiting_before=2))
    assert sentence(busy) == "the server had 1 running and 2 waiting requests before"


def test_tokens_of_another_client_are_void() -> None:
    shared = facts(metrics=metrics(generation_tokens=805))
    assert found(shared) == [("alone", "void")]
    assert sentence(shared).startswith(
        "the server generated 805 tokens and this client received 800: another"
    )


def test_tokens_that_the_server_did_not_generate_are_void() -> None:
    assert found(facts(metrics=metrics(generation_tokens=700))) == [("alone", "void")]


# It is the model


def test_a_symptom_of_the_model_before_or_after_is_void() -> None:
    answer = CanaryAnswer("What is 2 + 3?", "5", "", "", "the answer is empty")
    broken = facts(canary=(CanaryAnswer("x", "y", "z"), answer))
    assert found(broken) == [("it is the model", "void")]
    assert sentence(broken) == "after the run, 'What is 2 + 3?': the answer is empty"


# Warm


def test_a_slow_first_half_is_a_remark() -> None:
    cold = facts({"ttfts": [0.2] * 20 + [0.1] * 20}, metrics=metrics(ttft_mean_s=0.15))
    assert found(cold) == [("warm", "remarks")]
    assert sentence(cold) == "TTFT of the first half of the requests is 2.00 times that of the second half"


def test_the_halves_are_those_of_the_time_of_sending() -> None:
    starts = [float(index) for index in reversed(range(40))]
    late = facts({"ttfts": [0.2] * 20 + [0.1] * 20, "start_times": starts}, metrics=metrics(ttft_mean_s=0.15))
    assert found(late) == []


# Load reached


def test_a_cap_that_is_not_reached_is_a_remark() -> None:
    idle = facts({"latencies": [0.8] * 40})
    assert found(idle) == [("load reached", "remarks")]
    assert sentence(idle) == "0.8 requests were in flight on average, 1 were asked for"


def test_an_open_load_whose_client_is_late_is_a_remark() -> None:
    rate = Load(input_len=41, output_len=TOKENS, requests=REQUESTS, request_rate=1)
    assert found(facts({"queue_times": [0.04] * 40}, load=rate)) == []
    late = facts({"queue_times": [0.06] * 40}, load=rate)
    assert found(late) == [("load reached", "remarks")]
    assert sentence(late).startswith("requests waited 60.0 ms in the client, 6% of the gap between two")


def test_a_rate_that_sends_all_at_once_has_no_gaps() -> None:
    burst = Load(input_len=41, output_len=TOKENS, requests=REQUESTS, request_rate=10000)
    assert found(facts({"queue_times": [0.01] * 40}, load=burst)) == []


# The client keeps up


@pytest.mark.parametrize(("server", "remarks"), [(0.092, 0), (0.09, 1), (None, 0)])
def test_a_gap_between_client_and_server_is_a_remark(server: float | None, remarks: int) -> None:
    assert len(found(facts(metrics=metrics(ttft_mean_s=server)))) == remarks


def test_a_busy_client_is_a_remark() -> None:
    assert found(facts(host=Host(cpu_threads=2, client_cpus=0.95))) == [("client keeps up", "remarks")]


# The host

BEFORE = HostReading(gpus=(GpuReading(name="GPU 0", power_limit_w=700),))


@pytest.mark.parametrize(
    ("host", "text"),
    [
        (Host(cpu_threads=2, others_cpus=0.3), "other programs used 0.3 of 2 CPUs"),
        (Host(cpu_threads=2, steal=0.2), "the hypervisor gave 20% of the CPU time to other guests"),
        (Host(during=HostReading(gpus=(GpuReading(throttle=("power brake",)), GpuReading()))),
         "GPUs were throttled: power brake"),
        (Host(before=BEFORE, after=HostReading(gpus=(GpuReading(power_limit_w=500),))),
         "the power limit of GPU 0 changed from 700.0 W to 500.0 W"),
        (Host(neighbours=("a", "b")), "another benchmark ran on this host at the same time: a, b"),
    ],
)  # fmt: skip
def test_a_host_that_was_not_itself_is_a_remark(host: Host, text: str) -> None:
    unusual = facts(host=host)
    assert judge(unusual).outcome == "remarks"
    assert sentence(unusual) == text


def test_preemptions_are_a_remark_and_a_restart_is_void() -> None:
    assert sentence(facts(metrics=metrics(preemptions=3))).startswith("3 requests were preempted")
    assert found(facts(gone=GONE)) == [("host", "void")]


@pytest.mark.parametrize(("step", "way"), [(-3600, "back by 3600 s"), (60, "forward by 60 s")])
def test_a_clock_that_was_set_is_a_remark(step: float, way: str) -> None:
    assert way in sentence(facts(clock_step=step))


# Long enough


def test_a_run_on_a_gpu_takes_a_minute_unless_it_is_scaled() -> None:
    assert sentence(facts(on_gpu=True)) == "the run took 40.0 s; 60 s are needed"
    assert found(facts(on_gpu=True, scaled=True)) == []
    assert (
        sentence(facts({"duration": 19, "latencies": [0.47] * 40})) == "the run took 19.0 s; 20 s are needed"
    )


def test_few_rounds_of_requests_are_a_remark() -> None:
    few = facts({"latencies": [5.0] * 40}, load=CLOSED.model_copy(update={"concurrency": 5}))
    few = replace(few, metrics=metrics(e2e_mean_s=5.0))
    assert sentence(few) == "40 requests; 50 are needed for 5 at once"


def test_judge_accepts_a_run_without_any_details() -> None:
    request = Request(1, 1, 0.1, (), 0.2, 0, 0)
    lonely = facts()
    bare = replace(lonely, result=replace(lonely.result, requests=(request,)), fixed_output=False)
    assert judge(bare).outcome in ("good", "remarks")
