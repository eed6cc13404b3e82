from __future__ import annotations

import pytest

from launch.weights.progress import TransferProgress, amount, gb


def test_progress_counts_in_total_and_for_each_active_file() -> None:
    progress = TransferProgress(total=100, start=10)
    progress.begin("a", 60, done=20)
    progress.begin("b", 30)
    progress.add("b", 5)
    assert progress.done == 35
    assert progress.active == {"a": (20, 60), "b": (5, 30)}
    progress.add("a", -20)
    progress.end("b")
    assert (progress.done, progress.active) == (15, {"a": (0, 60)})


def test_note_has_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = TransferProgress(total=100 << 20)
    progress.begin("a", 100 << 20)
    assert progress.rate() == 0
    progress.add("a", 20 << 20)
    assert progress.note == "20.0 MiB of 100.0 MiB, 10.0 MiB/s, 0:08 left"


def test_note_says_why_the_transfer_waits() -> None:
    progress = TransferProgress(total=1 << 30)
    progress.trouble = "hub answered 503; trying again in 4 s"
    assert progress.note == "0 B of 1.0 GiB, hub answered 503; trying again in 4 s"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (230_121_412_123, "214.3 GiB"), (1 << 42, "4.0 TiB")],
)
def test_amount_uses_the_largest_binary_unit(count: int, text: str) -> None:
    assert amount(count) == text


def test_gb_is_decimal() -> None:
    assert gb(230_121_412_123) == "230 GB"
    assert gb(None) == "an unknown amount"
