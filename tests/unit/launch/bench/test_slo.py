"""SLOs: their text, and whether a request keeps them."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.bench.result import Request
from launch.bench.slo import Slo, parse_slo


def request(ttft: float, latency: float, tokens: int = 11, error: str = "") -> Request:
    return Request(10, tokens, ttft, (), latency, 0.0, 0.0, error)


@pytest.mark.parametrize(
    ("text", "slo"),
    [
        ("ttft=2s,tpot=50ms", Slo(2000, 50, 95)),
        ("tpot=12.5ms, p=99", Slo(None, 12.5, 99)),
        ("ttft=0.3s", Slo(300, None, 95)),
    ],
)
def test_an_slo_is_parsed(text: str, slo: Slo) -> None:
    assert parse_slo(text) == slo


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not one of ttft, tpot, p"),
        ("ttft", "'ttft' must be a time such as 2s or 50ms (got '')"),
        ("ttft=2", "must be a time such as 2s or 50ms (got '2')"),
        ("ttft=fast", "must be a time"),
        ("ttft=0s", "must be a time"),
        ("ttft=-1s", "must be a time"),
        ("ttft=nans", "must be a time"),
        ("ttft=2s,ttft=3s", "given twice"),
        ("p=95", "neither ttft nor tpot has a limit"),
        ("ttft=2s,p=100", "'p' must be a percentage below 100 (got '100')"),
        ("latency=2s", "'latency' is not one of"),
    ],
)
def test_a_wrong_slo_is_refused_with_an_example(text: str, why: str) -> None:
    with pytest.raises(Refused) as end:
        parse_slo(text)
    assert why in end.value.why
    assert end.value.fix == "--slo ttft=2s,tpot=50ms"


def test_a_request_must_keep_all_limits() -> None:
    slo = Slo(ttft_ms=1000, tpot_ms=50)
    assert slo.keeps(request(1.0, 1.5))
    assert not slo.keeps(request(1.1, 1.5))
    assert not slo.keeps(request(0.5, 1.01))
    assert not slo.keeps(request(0.5, 0.6, error="cut"))


def test_an_answer_of_one_token_has_no_time_between_tokens() -> None:
    assert Slo(tpot_ms=1).keeps(request(1.0, 5.0, tokens=1))
