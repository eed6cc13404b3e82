"""Waiting for a server, on a container that only plays its log: no engine, no sockets."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Failed
from launch.serving.readiness import Watch, wait

SERVES = [
    b"Resolved architecture: X\n",
    b"Initializing a V1 LLM engine\n",
    b"GPU KV cache size: 1,024 tokens\nApplication startup complete.\n",
]


class Player:
    """A container whose log is given and whose process ends with it, if `ends`."""

    name = "player"

    def __init__(self, log: Any, ends: int | None = None) -> None:
        self._log, self._ends, self.status = log, ends, "running"
        self.attrs = {"State": {"ExitCode": ends, "OOMKilled": False, "Error": ""}}

    def logs(self, **asked: Any) -> Any:
        yield from self._log
        if self._ends is not None:
            self.status = "exited"

    def reload(self) -> None:
        """The engine has nothing new to say."""


def watched(container: Player, healthy: bool = True, answer: Any = "a ramp", **more: Any) -> Any:
    def prove() -> str:
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    return wait(Watch(container, lambda: healthy, prove, lambda progress: None, **more))


def test_a_server_that_answers_is_ready():
    ready = watched(Player(SERVES))
    assert (ready.kv_tokens, ready.answer) == (1024, "a ramp")


def test_a_clock_that_jumps_changes_nothing(monkeypatch):
    jumps = itertools.cycle([4e9, 0.0, 1e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    ready = watched(Player(SERVES))
    assert all(0 <= seconds < 60 for seconds in ready.seconds.values())


def test_a_container_that_ends_is_diagnosed():
    log = [b"Resolved architecture: X\n", b"ValueError: nobody knows this one\n"]
    with pytest.raises(Failed, match="exited with 3 in the phase 'configure'") as end:
        watched(Player(log, ends=3))
    assert "nobody knows this one" in str(end.value)


def test_a_stuck_start_that_repeats_itself_has_not_moved():
    def stuck() -> Any:
        yield b"Resolved architecture: X\n"
        for number in range(200):
            time.sleep(0.01)
            yield f"WARNING: waiting for 1 core, {number} s\n".encode()

    with pytest.raises(Failed, match="has said nothing for 0 s in the phase 'configure'"):
        watched(Player(stuck()), patience=0.3)


def test_a_recipe_may_give_a_phase_more_time_and_the_user_less():
    watch = Watch(
        Player([]), lambda: True, lambda: "", lambda progress: None, budgets=(("load weights", 2700),)
    )
    phase = SimpleNamespace(phase="load weights", silence=900)
    assert watch.silence(phase) == 2700
    assert (
        Watch(watch.container, watch.healthy, watch.prove, watch.show, 5, budgets=watch.budgets).silence(
            phase
        )
        == 5
    )


def test_a_server_that_serves_errors_is_not_ready():
    with pytest.raises(Failed, match="HTTP 500"):
        watched(Player(SERVES), answer=Failed("the server refused the question (HTTP 500)"))


def test_a_server_that_its_restart_policy_has_started_again_has_no_exit_status_to_show():
    player = Player([b"Resolved architecture: X\n"], ends=0)
    player.attrs["State"]["Running"] = True
    player.attrs["RestartCount"] = 2
    with pytest.raises(Failed, match="its restart policy starts it again"):
        watched(player)
