"""Run a builder: live progress, the ID of the image, and the lines that explain a failure."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from errors import Failed
from images.build.backend import Builder, BuildRequest, argv
from images.build.buildkit_output import Steps, follow
from launch.engine.images import Show

# Lines among the last ones that belong to steps that succeeded.
_UNRELATED = re.compile(r"#\d+ (?:DONE|CACHED|sha256:|transferring|\[internal\])|-+$")


def run(builder: Builder, request: BuildRequest, show: Show) -> tuple[str, Steps]:
    """Build; return the ID of the untagged image and the steps. Raises Failed with the builder's last lines."""
    with tempfile.TemporaryDirectory() as folder:
        id_file = Path(folder, "id")
        steps = _follow(argv(builder, replace(request, id_file=id_file)), builder, show)
        return id_file.read_text().strip(), steps


def _follow(command: list[str], builder: Builder, show: Show) -> Steps:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **dict(builder.env)},
    )
    try:
        assert process.stdout is not None
        steps = follow(process.stdout, show)
    finally:
        if process.poll() is None:
            process.terminate()
        status = process.wait()
    if status:
        raise Failed(f"the build failed (exit {status})", why=_cause(steps), fix=_fix(steps))
    return steps


def _cause(steps: Steps) -> str:
    """Return the last lines that belong to the failure: BuildKit repeats the failing step at the end."""
    lines = (line.strip() for line in steps.tail[-12:])
    return "\n    ".join(line for line in lines if line and not _UNRELATED.match(line))


def _fix(steps: Steps) -> str:
    text = "\n".join(steps.tail)
    if "No space left" in text or "no space left" in text:
        return "free disk space: `docker system df` shows what the engine keeps"
    if "dns error" in text or "Temporary failure" in text or "connect error" in text:
        return "check the network and the proxy of this host (pip config list)"
    return "read the lines above; --no-cache builds without the cache"
