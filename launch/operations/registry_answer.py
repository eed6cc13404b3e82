"""Ask a registry about an image for a limited time, and say in one line why it has no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from errors import Failed
from launch.deadline import DeadlineExceeded, call_with_deadline
from launch.spec.control_characters import one_line

_SECONDS = 15
Answer = TypeVar("Answer")


def ask(question: Callable[[], Answer]) -> Answer:
    """Return a registry's answer. Raises Failed if it takes too long."""
    try:
        return call_with_deadline(_SECONDS, question)
    except DeadlineExceeded as error:
        raise Failed("the registry does not answer", why=str(error)) from None


def reason(error: Failed) -> str:
    """Return one line about why something could not be looked up."""
    return one_line(f"{error.what} ({error.why})" if error.why else error.what)
