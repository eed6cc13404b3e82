"""Wait for a server whose container replays a log: no engine, no sockets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from errors import Failed
from launch.serving.phases import Phase
from launch.serving.readiness import Ready, Startup, wait
from launch.serving.server_exit import ServerExited

SERVES = [
    b"Resolved architecture: X\n",
    b"Initializing a V1 LLM engine\n",
    b"GPU KV cache size: 1,024 tokens\nApplication startup complete.\n",
]
CONFIGURES = [b"Resolved architecture: X\n"]


class ReplayContainer:
    """A container that replays a log; with an exit code, its process exits at the end of the log."""

    name = "replay"

    def __init__(self, log: Iterable[bytes], exit_code: int | None = None) -> None:
        self._log, self._exit_code, self.status = log, exit_code, "running"
        self.attrs: dict[str, Any] = {"State": {"Status": "running", "OOMKilled": False, "Error": ""}}

    def logs(self, **options: object) -> Iterator[bytes]:
        yield from self._log
        if self._exit_code is not None:
            self.end("exited", ExitCode=self._exit_code)

    def end(self, status: str, **state: object) -> None:
        self.status = status
        self.attrs["State"] |= {"Status": status, **state}

    def reload(self) -> None:
        """The state is always current."""


def startup(container: ReplayContainer, answer: str | Exception = "a ramp", **options: Any) -> Startup:
    def generate() -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Startup(cast(Any, container), lambda: True, generate, lambda progress: None, **options)


def wait_for(container: ReplayContainer, answer: str | Exception = "a ramp", **options: Any) -> Ready:
    return wait(startup(container, answer, **options))


def test_wait_returns_the_answer_and_the_kv_cache() -> None:
    ready = wait_for(ReplayContainer(SERVES))
    assert (ready.kv_tokens, ready.answer) == (1024, "a ramp")


def test_wait_does_not_depend_on_the_system_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle([4e9, 0.0, 1e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    ready = wait_for(ReplayContainer(SERVES))
    assert all(0 <= seconds < 60 for seconds in ready.seconds.values())


def test_wait_diagnoses_a_container_that_exits() -> None:
    log = [*CONFIGURES, b"ValueError: no rule knows this\n"]
    with pytest.raises(ServerExited, match="exited with 3 in the phase 'configure'") as failed:
        wait_for(ReplayContainer(log, exit_code=3))
    assert "ValueError: no rule knows this" in failed.value.what
    assert not failed.value.diagnosis.known


def test_wait_reports_a_kill_for_memory() -> None:
    container = ReplayContainer(CONFIGURES, exit_code=137)
    container.attrs["State"]["OOMKilled"] = True
    with pytest.raises(ServerExited, match="ran out of memory and was killed in the phase 'configure'"):
        wait_for(container)


def test_wait_has_no_exit_code_if_the_restart_policy_restarts_the_container() -> None:
    class Restarted(ReplayContainer):
        def end(self, status: str, **state: object) -> None:
            self.attrs["RestartCount"] = 2
            super().end("restarting", **state)

    with pytest.raises(ServerExited, match="is being restarted by its restart policy") as failed:
        wait_for(Restarted(CONFIGURES, exit_code=0))
    assert "`invoke stop`" in failed.value.fix


def test_wait_reports_a_server_that_exits_on_the_first_request() -> None:
    container = ReplayContainer(SERVES)

    def generate() -> str:
        container.end("exited", ExitCode=139)
        raise Failed("the answer ended early")

    watched = Startup(cast(Any, container), lambda: True, generate, lambda progress: None)
    with pytest.raises(ServerExited, match="exited with 139 in the phase 'first generation'"):
        wait(watched)


def test_wait_fails_if_the_server_answers_with_errors() -> None:
    with pytest.raises(Failed, match="HTTP 500"):
        wait_for(ReplayContainer(SERVES), answer=Failed("the server rejected the request (HTTP 500)"))


def repeat_for_two_seconds() -> Iterator[bytes]:
    yield from CONFIGURES
    for number in range(200):
        time.sleep(0.01)
        yield f"WARNING: waiting for 1 core, {number} s\n".encode()


def test_wait_fails_if_the_log_only_repeats_itself() -> None:
    with pytest.raises(Failed, match="logged nothing new for 0 s in the phase 'configure'"):
        wait_for(ReplayContainer(repeat_for_two_seconds()), max_silence=0.3)


def test_wait_reports_a_paused_container() -> None:
    container = ReplayContainer(repeat_for_two_seconds())
    container.end("paused")
    with pytest.raises(Failed, match="is paused in the phase 'configure'"):
        wait_for(container, max_silence=0.3)


def test_silence_limit_is_the_recipe_s_and_at_most_the_user_s() -> None:
    phase = Phase("load weights", pattern="", max_silence=900)
    recipe = (("load weights", 2700),)
    container = ReplayContainer([])
    assert startup(container).silence_limit(phase) == 900
    assert startup(container, phase_limits=recipe).silence_limit(phase) == 2700
    assert startup(container, phase_limits=recipe, max_silence=5).silence_limit(phase) == 5
