"""What is recorded as the cause of a death."""

from __future__ import annotations

from launch.supervision.death import diagnose_death
from launch.supervision.policy import Observation

SERVED = [
    "INFO:     Application startup complete.",
    'INFO: 127.0.0.1:1 - "POST /v1/completions HTTP/1.1" 200 OK',
]


def test_a_hang_is_not_called_no_failure() -> None:
    hangs = Observation(0, "running", "ok", answered=False)
    assert diagnose_death(SERVED, hangs).cause == "unknown; the log reports no failure"


def test_a_killed_server_is_named() -> None:
    killed = Observation(0, "exited", exit_code=137)
    assert diagnose_death(SERVED, killed).cause.startswith("a process of the server was killed (SIGKILL)")


def test_an_unknown_exception_is_quoted() -> None:
    failed = Observation(0, "exited", exit_code=1)
    traceback = ["Traceback (most recent call last):", '  File "x.py", line 1, in f', "OddError: 5"]
    assert diagnose_death([*SERVED, *traceback], failed).cause == "unknown; first exception: OddError: 5"
