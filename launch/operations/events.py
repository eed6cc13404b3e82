"""What a launch tells its caller while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.serving.phases import StartupProgress
    from launch.weights.progress import TransferProgress

Show = Callable[[float, float | None, str], None]  # done, total if known, a note


class Events:
    """The callbacks of a launch. Override those that you want: these show nothing and agree to nothing."""

    def note(self, text: str) -> None:
        """Take one line for the user, for example that a saved fix is applied."""

    @contextmanager
    def step(self, title: str, background: bool = False) -> Iterator[Show]:
        """Surround a long step and yield what shows its progress. A background step runs during another one."""
        yield lambda done, total, note: None

    @contextmanager
    def fetch(self, title: str) -> Iterator[Callable[[TransferProgress], None]]:
        """Surround the fetch of weights and yield what shows its progress."""
        yield lambda progress: None

    def phase(self, progress: StartupProgress) -> None:
        """Take a change of the phase or the percentage of a start."""

    def confirm(self, question: str) -> bool:
        """Return whether to start once more with a fix."""
        return False
