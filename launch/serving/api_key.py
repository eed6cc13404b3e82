"""The key that a server asks for once it can be reached from other machines: made once, kept for its owner alone.

A file of environment lines, so that it stands in no argument, no plan and no log (vLLM prints its arguments).
`OPENAI_API_KEY` is the same for `vllm bench serve`, which runs in the same container.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from errors import Failed
from launch import paths
from launch.engine import env_file

NAMES = (env_file.API_KEY, "OPENAI_API_KEY")
OPEN = (
    "/health",
    "/metrics",
    "/pause",
    "/abort_requests",
    "/invocations",
)  # not behind the key (vLLM's documentation)


def place() -> Path:
    """Return the file that holds this user's key."""
    return paths.config_dir() / "api-key.env"


def ensure(path: Path) -> bool:
    """A key is there, readable by its owner only; whether it was made now. Raises Failed where it cannot be kept.

    It appears whole or not at all: a file without a key would be an open port without one.
    """
    try:
        if read(path):
            _tighten(path)
            return False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            key = f"sk-{secrets.token_urlsafe(32)}"
            file.writelines(f"{name}={key}\n" for name in NAMES)
        fresh.replace(path)
    except OSError as error:
        raise Failed(f"the API key cannot be kept in {path}", why=str(error.strerror)) from None
    return True


def _tighten(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o600)


def read(path: Path) -> str:
    """The key; "" where there is none. Raises Failed where it cannot be read."""
    try:
        there = path.exists()
    except OSError as error:
        raise env_file.unreadable(path, error) from None
    return env_file.read(path).get(NAMES[0], "") if there else ""
