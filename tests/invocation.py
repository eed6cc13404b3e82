"""Run `invoke` as a user does, in a process of its own, and look at what came back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Said:
    """What a command left: exit status, data on stdout, progress and errors on stderr."""

    code: int
    out: str
    err: str

    def ok(self) -> Said:
        """The same, if the command succeeded."""
        assert self.code == 0, self.err
        return self

    @property
    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.ok().out)

    @property
    def events(self) -> list[Any]:
        """Stdout as one JSON value a line."""
        return [json.loads(line) for line in self.ok().out.splitlines()]


def begin(*words: str, **env: str) -> subprocess.Popen[str]:
    """`invoke` with these words, not waited for; its output is read by the caller."""
    argv = [sys.executable, "-m", "invoke", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(argv, cwd=ROOT, env={**os.environ, **env}, **pipes)


def invoke(*words: str, timeout: float = 600, **env: str) -> Said:
    """`invoke` with these words from the project's folder."""
    argv = [sys.executable, "-m", "invoke", *words]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
