"""See a container of ours serve: what to ask it is in its labels."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from errors import Failed
from launch.serving import api_key, openai_client, readiness

QUESTION = "What is a slipway?"


def watched(
    container: Any,
    show: Callable[[readiness.Progress], None],
    patience: float = 0,
    fresh: bool = True,
    budgets: tuple[tuple[str, int], ...] = (),
) -> readiness.Ready:
    """Wait until the server generated something. Raises Failed, with a diagnosis where it died.

    A server that was not started now and answers /health is only asked: its log may have rotated since.
    """
    url, model, key = container.labels["slipway.url"], container.labels["slipway.model"], key_of(container)
    if not fresh and openai_client.healthy(url):
        return readiness.Ready({}, None, prove(url, model, key))
    watch = readiness.Watch(
        container,
        lambda: openai_client.healthy(url),
        lambda: prove(url, model, key),
        show,
        patience=patience,
        since=started(container),
        budgets=budgets,
    )
    return readiness.wait(watch)


def started(container: Any) -> int:
    """When this start began, in Unix seconds; what an earlier one said is no evidence for it."""
    container.reload()
    said = container.attrs["State"]["StartedAt"]
    return int(datetime.fromisoformat(said[:19] + "+00:00").timestamp())


def key_of(container: Any) -> str:
    """The API key that this server asks for; "" where it asks for none."""
    path = container.labels.get("slipway.key", "")
    return api_key.read(Path(path)) if path else ""


def prove(url: str, model: str, key: str = "") -> str:
    """One short generation; whatever it says, it must say something."""
    text = "".join(
        delta.text
        for delta in openai_client.ask(url, model, QUESTION, max_tokens=8, min_tokens=8, api_key=key)
    )
    if not text:
        raise Failed("the server answered without a single token", fix="invoke logs")
    return text


def phase_note(progress: readiness.Progress) -> str:
    """The phase and its percentage, for a bar."""
    return progress.phase.phase + (f" {progress.percent}%" if progress.percent is not None else "")
