"""One question to a server, and its answer: within a time, and asked again as often as it is worth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from launch.deadline import DeadlineExceeded, call_with_deadline
from launch.http.retry import RetryPolicy, Transient

MOST_TALK = 2  # times the patience for one answer, until a server that never ends its answers is given up
Made = TypeVar("Made")


def with_retries(
    patience: RetryPolicy,
    ask: Callable[[], Made],
    read: Callable[[Exception], Transient],
    say: Callable[[str], None],
) -> Made:
    """What `ask` returns. Raises Transient, the last trouble, when patience is at its end.

    `read` makes something to try again of what `ask` raised, or raises what there is to say instead.
    """
    spent, failures = 0.0, 0
    while True:
        start = time.monotonic()
        try:
            return call_with_deadline(patience.talk, ask)
        except DeadlineExceeded:
            trouble = Transient(f"it did not finish its answer in {patience.talk:.0f} s")
        except Exception as error:
            trouble = read(error)
        spent, failures = spent + time.monotonic() - start, failures + 1
        seconds = patience.wait(failures, trouble)
        if seconds is None or spent >= MOST_TALK * patience.talk:
            raise trouble
        say(f"{trouble.reason}; trying again in {seconds:.0f} s")
        threading.Event().wait(seconds)
