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
from launch.diagnose import Diagnosis, Evidence, diagnose
from launch.lines import split_lines

PHASES = Path(__file__).with_name("phases.yaml")
_KV = re.compile(r"KV cache size: ([\d,]+) tokens")
_END = object()


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
    import yaml

    return tuple(Phase(**row) for row in yaml.safe_load(path.read_text()))


def wait(
    container: Any, healthy: Callable[[], bool], prove: Callable[[], str], show: Callable[[Progress], None]
) -> Ready:
    """Block until `prove()` generated. Raises Failed if the container dies or is silent too long."""
    progress = Progress(load_phases(), time.monotonic())
    heard: list[str] = []
    heard_at = time.monotonic()
    for line in _lines(container):
        now = time.monotonic()
        if line:
            heard, heard_at = [*heard[-399:], line], now
            progress.read(line, now)
        elif now - heard_at > progress.phase.silence:
            raise _hangs(container, progress, heard)
        show(progress)
        if progress.last:
            break
    else:
        raise died(container, progress)
    _until_it_listens(container, healthy, progress, heard)
    answer = _prove(container, prove, progress)
    progress.finish(time.monotonic())
    return Ready(progress.seconds, progress.kv_tokens, answer)


def _hangs(container: Any, progress: Progress, heard: list[str]) -> Failed:
    phase = progress.phase
    return Failed(
        f"{container.name} has said nothing for {phase.silence:.0f} s in the phase '{phase.phase}'",
        why="\n    ".join(heard[-3:]),
        fix=f"invoke logs --name {container.name}",
    )


def _until_it_listens(
    container: Any, healthy: Callable[[], bool], progress: Progress, heard: list[str]
) -> None:
    """uvicorn says that it has started a moment before it listens."""
    deadline = time.monotonic() + progress.phase.silence
    while not healthy():
        container.reload()
        if container.status != "running":
            raise died(container, progress)
        if time.monotonic() > deadline:
            raise _hangs(container, progress, heard)
        time.sleep(0.1)


def _prove(container: Any, prove: Callable[[], str], progress: Progress) -> str:
    """The first generation; a server that died over it is reported as dead, not as unreachable."""
    try:
        return prove()
    except Failed:
        container.reload()
        if container.status == "running":
            raise
        raise died(container, progress) from None


def _lines(container: Any) -> Iterator[str]:
    """Log lines as they come, "" for every second without one; ends with the container."""
    heard: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_pump, args=(container, heard), daemon=True).start()
    while True:
        try:
            item = heard.get(timeout=1)
        except queue.Empty:
            yield ""
            continue
        if item is _END:
            return
        yield item


def _pump(container: Any, heard: queue.Queue[Any]) -> None:
    try:
        for line in split_lines(container.logs(stream=True, follow=True)):
            heard.put(line)
    finally:
        heard.put(_END)


class Died(Failed):
    """A server that ended before it served; `diagnosis` says why, as far as its log tells."""

    def __init__(self, what: str, diagnosis: Diagnosis) -> None:
        super().__init__(what, why="\n    ".join(diagnosis.proof), fix=diagnosis.cure)
        self.diagnosis = diagnosis


def died(container: Any, progress: Progress) -> Died:
    """What to say of a container that ended: its exit, the phase, and the diagnosis of its whole log."""
    container.reload()
    state = container.attrs["State"]
    lines = split_lines(container.logs(stream=True, follow=False))
    memory, code = bool(state.get("OOMKilled")), state.get("ExitCode")
    found = diagnose(Evidence(lines, code, memory, state.get("Error", "")))
    how = "was killed for memory" if memory else f"exited with {code}"
    cause = (
        found.cause if found.known else f"the cause is not known; first exception: {found.first_exception}"
    )
    return Died(f"{container.name} {how} in the phase '{progress.phase.phase}': {cause}", found)
