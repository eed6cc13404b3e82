"""Wait for a starting server: track its phase from the log, detect exits, and finish with a real completion request.

/health is not enough: vLLM 0.32 on CPU answered it and died on the first request. A container that exits is noticed
by the end of its log stream, within a fraction of a second.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from errors import Failed
from launch.serving import openai_client
from launch.serving.api_key import key_of_container
from launch.serving.log_follower import engine_errors, follow_log, is_running
from launch.serving.phases import Phase, StartupProgress, load_phases
from launch.serving.server_exit import server_exited

if TYPE_CHECKING:
    from docker.models.containers import Container

QUESTION = "What is a slipway?"
_MAX_KNOWN_LINES = 5000  # a start logs some hundred different lines
_EXIT_DELAY = 20  # tenths of a second in which the engine still reports a dying server as running


@dataclass(frozen=True)
class Ready:
    """A server that answered a completion request."""

    seconds: dict[str, float]
    kv_tokens: int | None
    answer: str


@dataclass(frozen=True)
class Startup:
    """How to watch one start.

    `max_silence` limits the seconds without a new log line in every phase; 0 keeps the limits of the phases.
    `phase_limits` are a recipe's own limits for phases that take longer with its model. `since` (Unix seconds)
    leaves out what an earlier start of the container logged.
    """

    container: Container
    is_healthy: Callable[[], bool]
    generate: Callable[[], str]
    show: Callable[[StartupProgress], None]
    max_silence: float = 0
    since: int = 0
    phase_limits: tuple[tuple[str, int], ...] = ()

    def silence_limit(self, phase: Phase) -> float:
        """Return how many seconds without a new log line are not a failure."""
        limit = dict(self.phase_limits).get(phase.name, phase.max_silence)
        return min(limit, self.max_silence or limit)


def wait_for_server(
    container: Container,
    show: Callable[[StartupProgress], None],
    max_silence: float = 0,
    fresh: bool = True,
    phase_limits: tuple[tuple[str, int], ...] = (),
) -> Ready:
    """Wait until a container's server answers a completion request. Raises Failed, with a diagnosis if it exits.

    A server that was started earlier (`fresh` is False) and answers /health only gets the completion request,
    because its log may have been rotated since.
    """
    url, model, key = (
        container.labels["slipway.url"],
        container.labels["slipway.model"],
        key_of_container(container),
    )
    if not fresh and openai_client.is_healthy(url):
        return Ready({}, None, generate_once(url, model, key))
    startup = Startup(
        container,
        lambda: openai_client.is_healthy(url),
        lambda: generate_once(url, model, key),
        show,
        max_silence=max_silence,
        since=start_time(container),
        phase_limits=phase_limits,
    )
    return wait(startup)


def start_time(container: Container) -> int:
    """Return when the newest start of a container began, in Unix seconds."""
    container.reload()
    started = container.attrs["State"]["StartedAt"]
    return int(datetime.fromisoformat(started[:19] + "+00:00").timestamp())


def generate_once(url: str, model: str, api_key: str = "") -> str:
    """Request one short completion. Raises Failed if it is empty."""
    deltas = openai_client.ask(url, model, QUESTION, max_tokens=8, min_tokens=8, api_key=api_key)
    if not (text := "".join(delta.text for delta in deltas)):
        raise Failed("the server generated no tokens", fix="invoke logs")
    return text


def wait(startup: Startup) -> Ready:
    """Wait for the first completion. Raises Failed if the server exits, stays silent too long or cannot answer."""
    progress = StartupProgress(load_phases(), time.monotonic())
    try:
        _wait_for_last_phase(startup, progress)
        _wait_for_health(startup, progress)
        answer = _generate(startup, progress)
    except engine_errors() as error:
        # 404: the container does not exist; 409: it is being removed.
        if getattr(error, "status_code", None) in (404, 409):
            what = f"{startup.container.name} was removed while it was starting"
            raise Failed(what, fix="invoke run") from None
        raise Failed(
            "the container engine stopped responding",
            why=str(error).splitlines()[0][:300],
            fix="invoke doctor; once the engine is back, invoke ps shows whether the server still runs",
        ) from None
    progress.finish_phase(time.monotonic())
    return Ready(progress.seconds, progress.kv_tokens, answer)


def _wait_for_last_phase(startup: Startup, progress: StartupProgress) -> None:
    """Read the log until only the first generation remains. Only new lines count: a stuck start may repeat itself."""
    logged: set[str] = set()
    last_progress, last_line = time.monotonic(), ""
    for line in follow_log(startup.container, startup.since):
        now, before = time.monotonic(), (progress.index, progress.percent)
        if line:
            last_line = line
            progress.read(line, now)
        changed = (progress.index, progress.percent) != before
        if changed or (line and _is_new(line, logged)):
            last_progress = now
        elif now - last_progress > startup.silence_limit(progress.phase):
            raise _silent(startup, progress, last_line)
        if changed:
            startup.show(progress)
        if progress.in_last_phase:
            return
    raise server_exited(startup.container, progress.phase.name)


def _is_new(line: str, logged: set[str]) -> bool:
    """Whether the line, numbers ignored, was not logged before."""
    text = re.sub(r"[0-9]+", "#", line)[:300]
    new = text not in logged
    if len(logged) < _MAX_KNOWN_LINES:
        logged.add(text)
    return new


def _silent(startup: Startup, progress: StartupProgress, last_line: str) -> Failed:
    """Return the error for a server without progress."""
    phase, name = progress.phase, startup.container.name
    startup.container.reload()
    if startup.container.status == "paused":
        return Failed(
            f"{name} is paused in the phase '{phase.name}'", fix=f"docker unpause {name}; invoke run"
        )
    where = f"'{phase.name}'" + (f" at {progress.percent}%" if progress.percent is not None else "")
    return Failed(
        f"{name} logged nothing new for {startup.silence_limit(phase):.0f} s in the phase {where}",
        why=f"last line: {last_line[-300:]}",
        fix=f"invoke logs --name {name}; to end it: invoke stop --name {name}",
    )


def _wait_for_health(startup: Startup, progress: StartupProgress) -> None:
    """Wait for /health: uvicorn logs that startup is complete a moment before it listens."""
    deadline = time.monotonic() + startup.silence_limit(progress.phase)
    while not startup.is_healthy():
        if not is_running(startup.container):
            raise server_exited(startup.container, progress.phase.name)
        if time.monotonic() > deadline:
            raise _silent(startup, progress, "Application startup complete, but /health does not answer")
        time.sleep(0.1)


def _generate(startup: Startup, progress: StartupProgress) -> str:
    """Request the first completion; a server that dies on it is reported as exited, not as unreachable."""
    try:
        return startup.generate()
    except Failed:
        for _ in range(_EXIT_DELAY):
            if not is_running(startup.container):
                raise server_exited(startup.container, progress.phase.name) from None
            time.sleep(0.1)
        raise
