from __future__ import annotations

import threading
import time

import pytest

from launch.deadline import DeadlineExceeded, call_with_deadline, start


def test_call_with_deadline_returns_the_result() -> None:
    assert call_with_deadline(5, lambda: "done") == "done"


def test_call_with_deadline_raises_the_functions_own_error() -> None:
    def fail() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        call_with_deadline(5, fail)


def test_call_with_deadline_leaves_a_hanging_call_behind() -> None:
    released = threading.Event()
    begin = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        call_with_deadline(0.1, released.wait)
    assert time.monotonic() - begin < 2
    released.set()


def test_start_runs_in_the_background() -> None:
    released = threading.Event()
    call = start(lambda: released.wait(5))
    assert not call.done()
    released.set()
    assert call.result(5) is True
