"""What is known of a server that failed, and what is concluded from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """What a dead server left behind.

    `lines` is read once and never held: a generator over a log of any size is fine. `exit_code` is None
    where the container still runs or only its log is at hand. `engine_error` is what the container engine
    said when it could not create or start the container.
    """

    lines: Iterable[str] = ()
    exit_code: int | None = None
    oom_killed: bool = False
    engine_error: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What failed, the lines that prove it, and what to do.

    `change` is a plan change for `launch/diagnosis/apply_fix.py`, or None where no change of the plan helps:
    `{"set": {flag: value}}`, `{"unset": [flag]}`, `{"env": {name: value}}`, `{"port": true}` (another one),
    `{"shm": bytes}`, `{"lower": {flag: step}}`; the keys may come together. `safe` says that it may be
    applied unasked. `known` is False where no symptom matched; `first_exception` then says what there is.
    """

    cause_id: str
    cause: str
    proof: tuple[str, ...] = ()
    fix: str = ""
    change: dict[str, Any] | None = None
    safe: bool = False
    known: bool = False
    first_exception: str = ""
    source: str = ""
