"""See a container of ours serve: what to ask it is in its labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from errors import Failed
from launch import api_key, chat, ready

QUESTION = "What is a slipway?"


def watched(
    container: Any, show: Callable[[ready.Progress], None], patience: float = 0, since: int = 0
) -> ready.Ready:
    """Wait until the server generated something. Raises Failed, with a diagnosis where it died."""
    url, model = container.labels["slipway.url"], container.labels["slipway.model"]
    key = key_of(container)
    watch = ready.Watch(
        container,
        lambda: chat.healthy(url),
        lambda: prove(url, model, key),
        show,
        patience=patience,
        since=since,
    )
    return ready.wait(watch)


def key_of(container: Any) -> str:
    """The API key that this server asks for; "" where it asks for none."""
    path = container.labels.get("slipway.key", "")
    return api_key.read(Path(path)) if path else ""


def prove(url: str, model: str, key: str = "") -> str:
    """One short generation; whatever it says, it must say something."""
    text = "".join(delta.text for delta in chat.ask(url, model, QUESTION, max_tokens=8, api_key=key))
    if not text:
        raise Failed("the server answered without a single token", fix="invoke logs")
    return text


def phase_note(progress: ready.Progress) -> str:
    """The phase and its percentage, for a bar."""
    return progress.phase.phase + (f" {progress.percent}%" if progress.percent is not None else "")
