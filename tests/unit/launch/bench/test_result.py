"""Read the results of vLLM's client, good and damaged."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.bench.result import UnusableResult, last_line, parse, sidecar
from tests.conftest import ROOT
from tests.unit.launch.bench.results_data import saved


def test_parse_reads_figures_and_the_details_of_each_request() -> None:
    result = parse(json.dumps(saved()), 4)
    assert (result.asked, result.completed, result.failed, result.output_tokens) == (4, 4, 0, 80)
    assert [request.start for request in result.requests] == [0, 1, 2, 3]
    assert result.answered == result.requests


def test_parse_keeps_every_value_but_those_of_single_requests() -> None:
    values = parse(json.dumps(saved()), 4).values
    assert values["mean_ttft_ms"] == 100
    assert not {"ttfts", "itls", "generated_texts", "errors"} & values.keys()


def test_parse_reads_a_recorded_result_without_details() -> None:
    result = parse((ROOT / "tests" / "data" / "bench-result.json").read_text(), 8)
    assert (result.completed, result.requests) == (8, ())


def test_parse_of_vllm_0_11_counts_failed_requests_itself() -> None:
    old = saved(completed=2, failed=None) | {"request_goodput:": None}
    assert parse(json.dumps(old), 4).failed == 2


def test_an_older_vllm_has_no_lists_of_starts_and_queues() -> None:
    (first, *_) = parse(json.dumps(saved(start_times=None, queue_times=None, latencies=None)), 4).requests
    assert (first.start, first.queue, first.ttft) == (0, 0, 0.1)


def test_sidecar_has_the_values_of_each_request_and_no_texts() -> None:
    data = json.loads(gzip.decompress(sidecar(parse(json.dumps(saved()), 4))))
    assert data["ttfts"] == [0.1] * 4
    assert len(data["itls"][0]) == 19
    assert "secret answer" not in json.dumps(data)


def test_last_line_of_a_traceback_is_its_error() -> None:
    assert last_line("Traceback:\n  File x\nConnectionError: refused\n\n") == "ConnectionError: refused"


NAN, INF = float("nan"), float("inf")
BAD: list[tuple[str, str]] = [
    ("", "it is empty"),
    ("  \n", "it is empty"),
    (json.dumps(saved())[:300], "it is not JSON"),
    ("[]", "it is not a JSON object"),
    ("5", "it is not a JSON object"),
    ("null", "it is not a JSON object"),
    ("\x00", "it is not JSON"),
    ("[" * 100_000, "it is not JSON"),
    *(
        (json.dumps(saved(**change)), why)
        for change, why in (
            ({"duration": 0}, "its duration is 0 s"),
            ({"duration": -1.5}, "its duration is -1.5 s"),
            ({"duration": NAN}, "its 'duration' is nan"),
            ({"duration": INF}, "its 'duration' is inf"),
            ({"duration": "4"}, "its 'duration' is 4"),
            ({"duration": None}, "it has no 'duration'"),
            ({"duration": True}, "its 'duration' is True"),
            ({"completed": None}, "it has no 'completed'"),
            ({"completed": -1}, "its 'completed' is -1"),
            ({"completed": 1.5}, "its 'completed' is 1.5"),
            ({"completed": NAN}, "its 'completed' is nan"),
            ({"total_output_tokens": None}, "it has no 'total_output_tokens'"),
            ({"output_throughput": INF}, "its 'output_throughput' is inf"),
            ({"mean_ttft_ms": NAN}, "its 'mean_ttft_ms' is nan"),
            ({"ttfts": [0.1]}, "its values of each request are damaged"),
            ({"ttfts": ["x"] * 4}, "its values of each request are damaged"),
            ({"itls": [5] * 4}, "its values of each request are damaged"),
            ({"latencies": [INF] * 4}, "a value of a request is not a finite number"),
        )
    ),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_a_result_that_is_not_usable_is_one_clear_line(text: str, why: str) -> None:
    with pytest.raises(UnusableResult, match="the result of vllm bench serve is not usable") as unusable:
        parse(text, 4)
    assert unusable.value.why.startswith(why)
    assert "\n" not in unusable.value.why


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists)


@given(st.sampled_from(sorted(saved())), JSON)
def test_any_value_is_read_or_refused(name: str, value: Any) -> None:
    try:
        result = parse(json.dumps({**saved(), name: value}), 4)
    except UnusableResult:
        return
    sidecar(result)
