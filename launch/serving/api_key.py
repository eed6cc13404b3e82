"""The key that a server asks for once it can be reached from other machines: made once, kept for its owner alone.

A file of environment lines, so that it stands in no argument, no plan and no log (vLLM prints its arguments).
`OPENAI_API_KEY` is the same for `vllm bench serve`, which runs in the same container.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from errors import Failed

NAMES = ("VLLM_API_KEY", "OPENAI_API_KEY")


def place(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the key of this user is kept."""
    home = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser().absolute() / "slipway" / "api-key.env"


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


def variables(path: Path) -> dict[str, str]:
    """The environment that a file holds. Raises Failed where it cannot be read."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise _unreadable(path, error) from None
    words = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in words}


def read(path: Path) -> str:
    """The key; "" where there is none. Raises Failed where it cannot be read."""
    try:
        there = path.exists()
    except OSError as error:
        raise _unreadable(path, error) from None
    return variables(path).get(NAMES[0], "") if there else ""


def _unreadable(path: Path, error: OSError) -> Failed:
    theirs = isinstance(error, PermissionError)
    fix = "ask as the user who started the server" if theirs else "invoke run makes it anew"
    return Failed(f"{path} cannot be read", why=str(error.strerror), fix=fix)
