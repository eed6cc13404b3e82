"""Read files of secret environment variables, which `docker run` would take with `--env-file`."""

from __future__ import annotations

from pathlib import Path

from errors import Failed

API_KEY = "VLLM_API_KEY"


def read(path: Path) -> dict[str, str]:
    """Return the variables in a file. Raises Failed if it cannot be read."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise unreadable(path, error) from None
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def unreadable(path: Path, error: OSError) -> Failed:
    """Return the error for a file that cannot be read."""
    of_another_user = isinstance(error, PermissionError)
    fix = "run this as the user who started the server" if of_another_user else "invoke run creates it again"
    return Failed(f"cannot read '{path}'", why=error.strerror or str(error), fix=fix)
