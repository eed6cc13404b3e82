"""Run `invoke` as a user does, in its own process, and return what it printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# Put before the words of a child that a test interrupts: if a shell runs pytest in the background, children ignore
# SIGINT otherwise.
INTERRUPTIBLE = ("env", "--default-signal=INT")


@dataclass(frozen=True)
class Finished:
    """A command that ended: exit status, results on stdout, progress and errors on stderr."""

    code: int
    out: str
    err: str

    def ok(self) -> Finished:
        """Return the same after checking that the command succeeded."""
        assert self.code == 0, self.err
        return self

    @property
    def json(self) -> Any:
        """Stdout as one JSON document."""
        return json.loads(self.ok().out)

    @property
    def events(self) -> list[Any]:
        """Stdout as one JSON value per line."""
        return [json.loads(line) for line in self.ok().out.splitlines()]


def start(*words: str, **env: str) -> subprocess.Popen[str]:
    """Start `invoke` in the root of the repository and leave its output to the caller."""
    return subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def invoke(*words: str, **env: str) -> Finished:
    """Run `invoke` in the root of the repository and wait for its end."""
    return finished(start(*words, **env))


def slipway(*words: str, folder: Path, **env: str) -> Finished:
    """Run `slipway` in a folder and wait for its end."""
    process = subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, "-m", "commands.entry_point", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finished(process)


def finished(process: subprocess.Popen[str]) -> Finished:
    """Wait for the end of a process whose output is piped."""
    try:
        out, err = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return Finished(process.returncode, out, err)
