"""Read the file of `--capabilities`: what the vLLM of an image accepts, as the user states it."""

from __future__ import annotations

import json
from pathlib import Path

from errors import Refused
from launch.spec.capabilities import Capabilities


def read_capabilities(path: str) -> Capabilities | None:
    """Return what the file says, or None without a file. Raises Refused if it cannot be read."""
    if not path:
        return None
    try:
        if not Path(path).is_file():
            raise Refused(f"cannot read the capabilities file '{path}'", why="it is not a regular file")
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read the capabilities file '{path}'", why=str(error)) from error
    if not isinstance(data, dict):
        raise Refused(f"the capabilities file '{path}' must hold a JSON object")
    return Capabilities.of(data)
