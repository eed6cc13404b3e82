"""Watch a server come up: which phase it is in, whether it lives, and at the end whether it really generates.

/health answers before a request works (vLLM 0.32 on CPU answered and died on the first one), so only a
generation counts. A dead container is noticed by the end of its log stream, within a fraction of a second.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from errors import Failed
from launch.data_file import load
from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose
from launch.engine.log_stream import split_lines

PHASES = Path(__file__).with_name("phases.yaml")
_KV = re.compile(r"KV cache size: ([\d,]+) tokens")
_END = object()
_REMEMBERED = 5000  # different lines; a start says some hundred
_FOLLOWED = 100  # streams of one log: an engine may end them early
_AGAIN = "ended, and its restart policy starts it again (invoke stop ends that),"
_LAST_BREATH = 20  # tenths of a second in which a dying server still counts as running


@dataclass(frozen=True)
class Phase:
    """One row of phases.yaml."""

    phase: str
    pattern: str
    silence: float
    percent: str = ""


@dataclass
class Progress:
    """What the log has told so far. `seconds` maps a phase to how long it took."""

    phases: tuple[Phase, ...]
    began: float
    index: int = 0
    percent: int | None = None
    kv_tokens: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def phase(self) -> Phase:
        """The phase that runs now."""
        return self.phases[self.index]

    @property
    def last(self) -> bool:
        """Whether nothing is left but to ask."""
        return self.index == len(self.phases) - 1

    def read(self, line: str, now: float) -> None:
        """Take one log line. Phases only go forward: a second rank may say again what the first said."""
        if match := _KV.search(line):
            self.kv_tokens = int(match.group(1).replace(",", ""))
        for index in range(len(self.phases) - 1, self.index, -1):
            if re.search(self.phases[index].pattern, line):
                self._enter(index, now)
                break
        if self.phase.percent and (match := re.search(self.phase.percent, line)):
            self.percent = int(match.group(1))

    def _enter(self, index: int, now: float) -> None:
        self.seconds[self.phase.phase] = round(now - self.began, 2)
        self.index, self.began, self.percent = index, now, None

    def finish(self, now: float) -> None:
        """The last phase is over too."""
        self.seconds[self.phase.phase] = round(now - self.began, 2)


@dataclass(frozen=True)
class Ready:
    """A server that answered."""

    seconds: dict[str, float]
    kv_tokens: int | None
    answer: str


def load_phases(path: Path = PHASES) -> tuple[Phase, ...]:
    """The rows of phases.yaml."""
    return load(path, tuple[Phase, ...])


@dataclass(frozen=True)
class Watch:
    """What to ask of a server that starts. `patience` caps the seconds of silence of every phase; 0 does not.
    `budgets` are the recipe's own seconds for phases that take longer with its model.

    `since` (Unix seconds) leaves out what an earlier start of the same container said.
    """

    container: Any
    healthy: Callable[[], bool]
    prove: Callable[[], str]
    show: Callable[[Progress], None]
    patience: float = 0
    since: int = 0
    budgets: tuple[tuple[str, int], ...] = ()

    def silence(self, phase: Phase) -> float:
        """How many seconds without a word are still no failure."""
        budget = dict(self.budgets).get(phase.phase, phase.silence)
        return min(budget, self.patience or budget)


def wait(watch: Watch) -> Ready:
    """Block until it generated. Raises Failed if it dies, is silent too long or cannot answer."""
    progress = Progress(load_phases(), time.monotonic())
    try:
        _until_started(watch, progress)
        _until_it_listens(watch, progress)
        answer = _prove(watch, progress)
    except _engine_errors() as error:
        if _is_gone(error):
            raise Failed(
                f"{watch.container.name} was taken away while it started", fix="invoke run"
            ) from None
        raise Failed(
            "the container engine stopped answering",
            why=str(error).splitlines()[0][:300],
            fix="invoke doctor; when it is back, invoke ps shows whether the server survived",
        ) from None
    progress.finish(time.monotonic())
    return Ready(progress.seconds, progress.kv_tokens, answer)


def _is_gone(error: Exception) -> bool:
    """Whether the container is no more (404), or on its way out (409: marked for removal)."""
    return getattr(error, "status_code", None) in (404, 409)


def _engine_errors() -> tuple[type[Exception], ...]:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    return DockerException, RequestException


def _until_started(watch: Watch, progress: Progress) -> None:
    """Read until nothing is left but to ask. Only a new word is progress: a stuck start may repeat itself for ever."""
    said: set[str] = set()
    heard_at, last = time.monotonic(), ""
    for line in _lines(watch):
        now, before = time.monotonic(), (progress.index, progress.percent)
        if line:
            last = line
            progress.read(line, now)
        changed = (progress.index, progress.percent) != before
        if changed or (line and _is_new(line, said)):
            heard_at = now
        elif now - heard_at > watch.silence(progress.phase):
            raise _hangs(watch, progress, last)
        if changed:
            watch.show(progress)
        if progress.last:
            return
    raise died(watch.container, progress)


def _is_new(line: str, said: set[str]) -> bool:
    """Whether this was not said yet, but for its numbers."""
    words = re.sub(r"[0-9]+", "#", line)[:300]
    new = words not in said
    if len(said) < _REMEMBERED:
        said.add(words)
    return new


def _hangs(watch: Watch, progress: Progress, last: str) -> Failed:
    phase, name = progress.phase, watch.container.name
    watch.container.reload()
    if watch.container.status == "paused":
        return Failed(
            f"{name} is paused, in the phase '{phase.phase}'", fix=f"docker unpause {name}; invoke run"
        )
    where = f"'{phase.phase}'" + (f" at {progress.percent}%" if progress.percent is not None else "")
    return Failed(
        f"{name} has said nothing for {watch.silence(phase):.0f} s in the phase {where}",
        why=f"its last words: {last[-300:]}",
        fix=f"invoke logs --name {name}; invoke stop --name {name}",
    )


def _until_it_listens(watch: Watch, progress: Progress) -> None:
    """uvicorn says that it has started a moment before it listens."""
    deadline = time.monotonic() + watch.silence(progress.phase)
    while not watch.healthy():
        if not _lives(watch.container):
            raise died(watch.container, progress)
        if time.monotonic() > deadline:
            raise _hangs(watch, progress, "Application startup complete, but /health does not answer")
        time.sleep(0.1)


def _prove(watch: Watch, progress: Progress) -> str:
    """The first generation; a server that died over it is reported as dead, not as unreachable."""
    try:
        return watch.prove()
    except Failed:
        for _ in range(_LAST_BREATH):
            if not _lives(watch.container):
                raise died(watch.container, progress) from None
            time.sleep(0.1)
        raise


def _lives(container: Any) -> bool:
    container.reload()
    return bool(container.status == "running")


def _lines(watch: Watch) -> Iterator[str]:
    """Log lines as they come, "" for every second without one; ends with the container."""
    heard: queue.Queue[Any] = queue.Queue(maxsize=10_000)  # a log of 1 GB must not pile up here
    threading.Thread(target=_pump, args=(watch, heard), daemon=True).start()
    while True:
        try:
            item = heard.get(timeout=1)
        except queue.Empty:
            yield ""
            continue
        if item is _END:
            return
        yield item


def _pump(watch: Watch, heard: queue.Queue[Any]) -> None:
    """Follow the log to its end; where only the stream broke, follow it again."""
    since = watch.since
    try:
        for _ in range(_FOLLOWED):
            now = int(time.time())
            for line in split_lines(watch.container.logs(stream=True, follow=True, **_after(since))):
                heard.put(line)
            if not _lives(watch.container):
                break
            since = now
    except _engine_errors():
        pass  # whoever waits asks the engine next, and then reports it
    finally:
        heard.put(_END)


def _after(since: int) -> dict[str, int]:
    return {"since": since} if since else {}


class Died(Failed):
    """A server that ended before it served; `diagnosis` says why, as far as its log tells."""

    def __init__(self, what: str, diagnosis: Diagnosis) -> None:
        super().__init__(what, why="\n    ".join(diagnosis.proof), fix=diagnosis.fix)
        self.diagnosis = diagnosis


def died(container: Any, progress: Progress) -> Died:
    """What to say of a container that ended: its exit, the phase, and the diagnosis of its whole log."""
    container.reload()
    state = container.attrs["State"]
    lines = split_lines(container.logs(stream=True, follow=False))
    memory = bool(state.get("OOMKilled"))
    again = state.get("Running") and container.attrs.get("RestartCount")  # its exit status is gone by now
    code = None if again else state.get("ExitCode")
    found = diagnose(Evidence(lines, code, memory, state.get("Error", "")))
    how = "was killed for memory" if memory else f"exited with {code}" if code is not None else _AGAIN
    cause = (
        found.cause if found.known else f"the cause is not known; first exception: {found.first_exception}"
    )
    return Died(f"{container.name} {how} in the phase '{progress.phase.phase}': {cause}", found)
