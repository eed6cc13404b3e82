"""The figures that the checks compare with, from `limits.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def limits() -> dict[str, Any]:
    """The table as it stands in the file."""
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())  # type: ignore[no-any-return]
