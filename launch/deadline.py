"""Call a function with a deadline, or in the background, without ever waiting for a call that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")


class DeadlineExceeded(Exception):
    """The call did not return in time. Its thread is left behind."""


def call_with_deadline(seconds: float, function: Callable[[], Result]) -> Result:
    """Return what the function returns, or raise what it raises. Raises DeadlineExceeded.

    Ctrl-C works while it waits, also if the function itself is stuck in a system call.
    """
    future = start(function)
    wait([future], timeout=seconds)
    if not future.done():
        raise DeadlineExceeded(f"no result after {seconds:.0f} s")
    return future.result()


def start(function: Callable[[], Result]) -> Future[Result]:
    """Run a function in the background. The thread is a daemon: the program can end while it still runs."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
