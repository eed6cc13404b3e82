"""How --limit-rate is read and kept."""

from __future__ import annotations

import threading
import time

import pytest

from errors import Refused
from launch.weights.transfer.rate_limit import RateLimit, parse


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50M", 50 << 20),
        ("50m", 50 << 20),
        ("1.5G", 3 << 29),
        ("200K", 200 << 10),
        ("4096", 4096),
        ("2MiB/s", 2 << 20),
    ],
)
def test_parse_reads_binary_units(text: str, rate: int) -> None:
    assert parse("--limit-rate", text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-1M", "0", "100", "5T", "1e9", "50 M", "M"])
def test_parse_refuses_what_is_not_a_rate(text: str) -> None:
    with pytest.raises(Refused, match="--limit-rate must be bytes per second such as 50M"):
        parse("--limit-rate", text)


def test_spend_waits_for_all_threads_together() -> None:
    limit, stop, start = RateLimit(100_000), threading.Event(), time.monotonic()
    threads = [threading.Thread(target=limit.spend, args=(10_000, stop)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.38 < time.monotonic() - start < 2


def test_spend_ends_at_once_when_the_transfer_stops() -> None:
    stop = threading.Event()
    stop.set()
    start = time.monotonic()
    RateLimit(1024).spend(1 << 30, stop)
    assert time.monotonic() - start < 1
