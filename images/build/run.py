"""Run a builder to its end: live progress, the image it made, and of a failure the lines that say it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from errors import Failed
from images.build.backend import Builder, Request, argv
from images.build.buildkit_output import Steps, follow

Show = Callable[[float, float | None, str], None]
_AROUND = re.compile(r"#\d+ (?:DONE|CACHED|sha256:|transferring|\[internal\])|-+$")  # nothing that failed


def run(tool: Builder, asked: Request, show: Show) -> tuple[str, Steps]:
    """Run the builder to its end; the image's id (no name yet) and what each step took.

    Raises Failed with the builder's last lines.
    """
    with tempfile.TemporaryDirectory() as folder:
        id_file = Path(folder, "id")
        steps = _follow(argv(tool, replace(asked, id_file=id_file)), tool, show)
        return id_file.read_text().strip(), steps


def _follow(words: list[str], tool: Builder, show: Show) -> Steps:
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **dict(tool.env)},
    )
    try:
        assert process.stdout is not None
        steps = follow(process.stdout, show)
    finally:
        if process.poll() is None:
            process.terminate()
        status = process.wait()
    if status:
        raise Failed(f"the build failed (exit {status})", why=_cause(steps), fix=_next(steps))
    return steps


def _cause(steps: Steps) -> str:
    """The lines that say it: BuildKit repeats the failing step at the end, so the last ones are enough."""
    lines = (line.strip() for line in steps.tail[-12:])
    return "\n    ".join(line for line in lines if line and not _AROUND.match(line))


def _next(steps: Steps) -> str:
    text = "\n".join(steps.tail)
    if "No space left" in text or "no space left" in text:
        return "free disk space (docker system df shows what the engine keeps)"
    if "dns error" in text or "Temporary failure" in text or "connect error" in text:
        return "check the network and the proxy of this host (pip config list)"
    return "read the lines above; --no-cache begins anew"
