"""A real page of vLLM 0.32 with two engines, and lines of others."""

from __future__ import annotations

from math import inf
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from launch.serving.monitoring.page import parse
from launch.spec.metric_names import RUNNING, TOKENS

# Of DP2+EP on CPU while it served a benchmark; only the metrics that are read.
PAGE = Path(__file__).parents[4] / "data/metrics/vllm-0.32-dp2.txt"


def test_every_engine_of_a_real_page_has_its_own_values() -> None:
    found = parse(PAGE.read_text())
    assert list(found) == ["0", "1"]
    for sample in found.values():
        assert sample.values[TOKENS] > 0
        buckets = sample.histograms["vllm:time_to_first_token_seconds"]
        assert buckets[inf] == max(buckets.values()) > 0


def test_lines_of_the_http_server_and_comments_are_left_out() -> None:
    page = '# HELP x\nhttp_requests_total{handler="/v1"} 3.0\nprocess_open_fds 12\n'
    assert parse(page) == {}


def test_series_of_one_name_are_added_up() -> None:
    page = f'{TOKENS}{{engine="0",reason="a"}} 2\n{TOKENS}{{engine="0",reason="b"}} 3 1700000000\n'
    assert parse(page)["0"].values == {TOKENS: 5.0}


def test_values_that_are_not_numbers_are_left_out() -> None:
    page = f'{RUNNING}{{engine="0"}} NaN\n{TOKENS}{{engine="0"}} +Inf\n{TOKENS}{{engine="0"}} many\n'
    assert parse(page) == {}


def test_engines_are_in_the_order_of_their_numbers() -> None:
    page = "".join(f'{RUNNING}{{engine="{number}"}} 1\n' for number in (10, 2, 0))
    assert list(parse(page)) == ["0", "2", "10"]


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse(text)
    parse(f'{RUNNING}{{engine="{text}"}} 1')
