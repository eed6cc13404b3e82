from __future__ import annotations

import pytest

from launch.weights.progress import TransferProgress, amount


def test_it_counts_in_total_and_for_each_file_in_flight() -> None:
    meter = TransferProgress(total=100, start=10)
    meter.begin("a", 60, done=20)
    meter.begin("b", 30)
    meter.add("b", 5)
    assert meter.done == 35
    assert meter.active == {"a": (20, 60), "b": (5, 30)}
    meter.add("a", -20)
    meter.end("b")
    assert (meter.done, meter.active) == (15, {"a": (0, 60)})


def test_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    meter = TransferProgress(total=100 << 20)
    meter.begin("a", 100 << 20)
    assert meter.rate() == 0
    meter.add("a", 20 << 20)
    assert meter.note == "20.0 MiB of 100.0 MiB, 10.0 MiB/s, 0:08 left"


def test_while_nothing_comes_it_says_why() -> None:
    meter = TransferProgress(total=1 << 30)
    meter.trouble = "hub answered 503; trying again in 4 s"
    assert meter.note == "0 B of 1.0 GiB, hub answered 503; trying again in 4 s"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (230_121_412_123, "214.3 GiB"), (1 << 42, "4.0 TiB")],
)
def test_amounts(count: int, words: str) -> None:
    assert amount(count) == words
