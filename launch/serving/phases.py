"""Track the phase of a starting server from its log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from launch.checked_data.data_file import load

PHASES = Path(__file__).with_name("phases.yaml")
_KV_CACHE = re.compile(r"KV cache size: ([\d,]+) tokens")


@dataclass(frozen=True)
class Phase:
    """One row of phases.yaml."""

    name: str
    pattern: str
    max_silence: float
    percent: str = ""


def load_phases(path: Path = PHASES) -> tuple[Phase, ...]:
    """Read phases.yaml."""
    return load(path, tuple[Phase, ...])


@dataclass
class StartupProgress:
    """The state of a start as its log shows it. `seconds` maps a phase to its duration."""

    phases: tuple[Phase, ...]
    phase_start: float
    index: int = 0
    percent: int | None = None
    kv_tokens: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self.phases[self.index]

    @property
    def in_last_phase(self) -> bool:
        """Whether only the first generation remains."""
        return self.index == len(self.phases) - 1

    @property
    def note(self) -> str:
        """The phase with its percentage, for a progress bar."""
        return self.phase.name + (f" {self.percent}%" if self.percent is not None else "")

    def read(self, line: str, now: float) -> None:
        """Read one log line. Phases only advance: a second rank may log an earlier phase again."""
        if match := _KV_CACHE.search(line):
            self.kv_tokens = int(match.group(1).replace(",", ""))
        for index in range(len(self.phases) - 1, self.index, -1):
            if re.search(self.phases[index].pattern, line):
                self.finish_phase(now)
                self.index, self.phase_start, self.percent = index, now, None
                break
        if self.phase.percent and (match := re.search(self.phase.percent, line)):
            self.percent = int(match.group(1))

    def finish_phase(self, now: float) -> None:
        """Record the duration of the current phase."""
        self.seconds[self.phase.name] = round(now - self.phase_start, 2)
