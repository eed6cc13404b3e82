"""Fetch a model into the Hugging Face cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from launch.weights.cache import cache_folder
from launch.weights.meter import Meter
from launch.weights.snapshot import Snapshot, check


def fetch(
    model: str,
    *,
    revision: str = "main",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    cache: Path | None = None,
    endpoint: str | None = None,
    show: Callable[[Meter], None] = lambda meter: None,
) -> Snapshot:
    """Fetch what is missing of a model and return its snapshot.

    `show` is called a few times a second, from the calling thread. `endpoint` overrides HF_ENDPOINT.
    """
    from huggingface_hub import snapshot_download

    snapshot_download(
        model,
        revision=revision,
        cache_dir=cache or cache_folder(),
        endpoint=endpoint,
        allow_patterns=list(include) or None,
        ignore_patterns=list(exclude) or None,
    )
    found = check(model, revision, cache)
    show(Meter(total=found.bytes, start=found.bytes))
    return found
