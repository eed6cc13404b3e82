"""The figures of a run as a person reads them."""

from __future__ import annotations

import json

import pytest

from launch.bench.figures import figures, format_figures, format_load, format_validity
from launch.bench.record import Load, Remark, Sampling, Validity
from tests.conftest import ROOT
from tests.unit.launch.bench.records_data import record

RECORDED = json.loads((ROOT / "tests" / "data" / "bench-result.json").read_text())


def test_figures_of_a_recorded_result() -> None:
    lines = [" ".join(line.split()) for line in format_figures(record(result=RECORDED))]
    assert lines[:4] == [
        "successful requests: 8", "failed requests: 0", "duration: 0.38 s", "request throughput: 21.11 req/s",
    ]  # fmt: skip
    assert "mean TTFT: 93.18 ms" in lines


@pytest.mark.parametrize(("requests", "shown"), [(8, None), (299, None), (300, 94.0)])
def test_p99_needs_three_hundred_requests(requests: int, shown: float | None) -> None:
    result = {"completed": requests, "failed": 0, "mean_ttft_ms": 90.0, "p99_ttft_ms": 94.0}
    (p99,) = [figure for figure in figures(record(result=result)) if figure.key == "p99_ttft_ms"]
    assert (p99.value, p99.text) == (shown, "-" if shown is None else "94.00 ms")


@pytest.mark.parametrize(("tokens", "shown"), [(303, None), (304, 5)])
def test_p99_of_the_time_between_tokens_counts_tokens(tokens: int, shown: float | None) -> None:
    result = {"completed": 4, "total_output_tokens": tokens, "mean_itl_ms": 3.0, "p99_itl_ms": 5.0}
    (p99,) = [figure for figure in figures(record(result=result)) if figure.key == "p99_itl_ms"]
    assert p99.value == shown


def test_the_peak_of_concurrent_requests_is_not_shown() -> None:
    assert "24" not in " ".join(format_figures(record(result=RECORDED | {"max_concurrent_requests": 24})))


def test_a_run_without_an_answer_has_no_table_of_zeros() -> None:
    zeros = {"completed": 0, "failed": 8, "output_throughput": 0.0, "mean_ttft_ms": 0.0}
    assert [line.split()[-1] for line in format_figures(record(result=zeros))] == ["0", "8"]


def test_an_interrupted_run_has_no_figures() -> None:
    assert figures(record(status="interrupted", result={})) == ()


def test_the_latency_from_the_schedule_is_shown() -> None:
    lines = format_figures(record(result=RECORDED, latency_from_schedule_ms={"mean": 3330.0}))
    assert lines[-1].split() == ["mean", "latency", "from", "schedule:", "3330.00", "ms"]


def test_format_load_names_seed_and_sampling() -> None:
    text = format_load(record())
    assert text == (
        "guide-cuda: 4 requests, 1 at once, 41 tokens in, 20 out; seed 7, temperature the server's default, "
        "end of sequence ends an answer"
    )
    rate = Load(input_len=8, output_len=2, prefix_len=4, requests=9, request_rate=10000)
    other = format_load(record(load=rate, sampling=Sampling(temperature=0, ignore_eos=True)))
    assert "10000 per second, 8 tokens in, 2 out (after 4 shared ones)" in other
    assert other.endswith("temperature 0, end of sequence ignored")


def test_format_validity_has_a_line_for_each_remark() -> None:
    remark = Remark(rule="alone", outcome="void", sentence="another client")
    lines = format_validity(record(validity=Validity(outcome="void", remarks=(remark,))))
    assert lines[0].split() == ["validity:", "void"]
    assert lines[1:] == ["  void: alone: another client"]
