"""Create and read the API key that a server requires if other hosts can reach it.

The key is stored in a file of environment variables, readable by its owner only, so that it is not in the arguments,
which vLLM logs, and not in the plan. `OPENAI_API_KEY` is the same key for `vllm bench serve`, which runs in the same
container.
"""

from __future__ import annotations

import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from launch import paths
from launch.atomic_write import write_text
from launch.engine import env_file

if TYPE_CHECKING:
    from docker.models.containers import Container

NAMES = (env_file.API_KEY, "OPENAI_API_KEY")


def key_file() -> Path:
    """Return the file that holds this user's key."""
    return paths.config_dir() / "api-key.env"


def ensure_key(path: Path) -> bool:
    """Create the key if there is none; return whether it was created. Raises Failed if it cannot be stored.

    The write is atomic: a file without a key would mean an open port without a key.
    """
    try:
        if read_key(path):
            _restrict(path)
            return False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = f"sk-{secrets.token_urlsafe(32)}"
        write_text(path, "".join(f"{name}={key}\n" for name in NAMES), mode=0o600)
    except OSError as error:
        raise Failed(f"cannot store the API key in '{path}'", why=str(error.strerror)) from None
    return True


def _restrict(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o600)


def read_key(path: Path) -> str:
    """Read the key; "" if there is none. Raises Failed if it cannot be read."""
    try:
        exists = path.exists()
    except OSError as error:
        raise env_file.unreadable(path, error) from None
    return env_file.read(path).get(NAMES[0], "") if exists else ""


def key_of_container(container: Container) -> str:
    """Return the API key that a container's server requires; "" if it requires none."""
    path = container.labels.get("slipway.key", "")
    return read_key(Path(path)) if path else ""
