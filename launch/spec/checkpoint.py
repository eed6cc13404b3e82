"""A model as its own files describe it: config.json, the chat template, and the names and sizes of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launch.spec.model_config import ModelShape


@dataclass(frozen=True)
class Checkpoint:
    """What a plan needs to know of a model without a recipe. `config` is checked (recipes/config_check.py)."""

    model: str  # the name to serve it under
    place: str  # where its files were read, for messages
    config: Mapping[str, Any]
    shape: ModelShape
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes by name, of the files in its root folder
    template: str = ""  # of chats, in Jinja
    folder: str = ""  # the absolute path of a local folder; "" for a model in the Hugging Face cache
