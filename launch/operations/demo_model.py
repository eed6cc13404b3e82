"""Serve the built-in tiny model on loopback while it is fetched; the public Hub does not have it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

MODEL = "slipway/MiniMax-M2-tiny"


@contextmanager
def endpoint_for(model: str) -> Iterator[str | None]:
    """Yield the URL of a Hub that has the built-in model; None for other models, or if HF_ENDPOINT names a Hub."""
    if model != MODEL or os.environ.get("HF_ENDPOINT"):
        yield None
        return
    from launch.demo.tiny_checkpoint import write_checkpoint
    from launch.hub_server import serve_folder

    with TemporaryDirectory(prefix="slipway-demo-") as folder:
        write_checkpoint(Path(folder) / MODEL)  # takes 0.2 s
        with serve_folder(Path(folder)) as hub:
            yield hub.url
