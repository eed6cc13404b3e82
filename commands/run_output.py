"""What `invoke run` shows: lines and bars for a person, or JSON events for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from commands.output import bar, say
from commands.program_name import named
from errors import SlipwayError
from launch.operations.events import Events, Show

if TYPE_CHECKING:
    from launch.operations.launch import Launched
    from launch.serving.phases import StartupProgress
    from launch.weights.progress import TransferProgress


class TerminalEvents(Events):
    """Progress on stderr, the result on stdout."""

    def note(self, text: str) -> None:
        """Print a line."""
        say(text)

    @contextmanager
    def step(self, title: str, background: bool = False) -> Iterator[Show]:
        """Show a progress bar, or plain lines while another step has bars."""
        with bar(title, plain=background) as progress_bar:
            yield progress_bar.update

    @contextmanager
    def fetch(self, title: str) -> Iterator[Callable[[TransferProgress], None]]:
        """Show a bar for each file."""
        with bar(title) as progress_bar:
            yield progress_bar.transfer

    def confirm(self, question: str) -> bool:
        """Ask on stderr; stdout is for the result."""
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() == "y"

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Surround the launch; its errors are printed by the command itself."""
        yield

    def result(self, launched: Launched) -> None:
        """Print what serves and where."""
        ready = launched.ready
        print(f"{launched.plan.model} {'serves' if ready else 'will serve'} at {launched.url}")
        if ready:
            if ready.seconds:
                say("  " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in ready.seconds.items()))
            if ready.kv_tokens:
                estimate = launched.plan.fit.kv_tokens
                say(f"  KV cache: {ready.kv_tokens} tokens (the plan estimated {estimate})")
            say(f"  tool call: {launched.tool_call()}")
        name = f" {launched.name}" if launched.plan.container.name else ""
        say(
            f'  next: invoke chat{name} "Hello"    invoke bench{name}    invoke logs{name}    invoke stop{name}'
        )


class Steps(TerminalEvents):
    """The progress of a start, without notes: of one server among several that are started for a while."""

    def note(self, text: str) -> None:
        """Leave a note out."""


class JsonEvents(TerminalEvents):
    """One JSON object a line on stdout; the last one is the result. Progress stays on stderr."""

    def phase(self, progress: StartupProgress) -> None:
        """Print the phase that runs now."""
        _event("phase", phase=progress.phase.name, percent=progress.percent)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Print an error as the last event; the message on stderr stays."""
        try:
            yield
        except SlipwayError as error:
            diagnosis = getattr(error, "diagnosis", None)
            cause = {"cause_id": diagnosis.cause_id} if diagnosis else {}
            _event("failed", what=error.what, why=error.why, fix=error.fix, **cause)
            raise

    def result(self, launched: Launched) -> None:
        """Print the last event."""
        ready, plan = launched.ready, launched.plan
        facts: dict[str, Any] = {"name": launched.name, "model": plan.model, "url": launched.url}
        facts |= {"plan": plan.digest, "image": plan.image, "image_name": plan.image_source.name}
        if ready:
            facts |= {"kv_tokens": ready.kv_tokens, "seconds": ready.seconds}
            facts["tool_call"] = launched.tool_call()
        _event("serves" if ready else "started", **facts)


def _event(kind: str, **facts: Any) -> None:
    print(named(json.dumps({"event": kind, **facts})), flush=True)
