"""The shapes of models that have no snapshot on this host, from the published facts in `model_facts.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from launch.checked_data.data_file import load
from launch.spec.model_config import ModelShape, from_config


@dataclass(frozen=True)
class Facts:
    """One config.json, and the checkpoints that have it with the name of their quantization."""

    config: dict[str, Any]
    source: str
    checkpoints: dict[str, str]


@dataclass(frozen=True)
class FactTable:
    """The content of model_facts.yaml."""

    quantizations: dict[str, dict[str, Any]]
    models: tuple[Facts, ...]


@cache
def table() -> FactTable:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), FactTable)


@cache
def published_shape(model: str) -> ModelShape | None:
    """Return the shape of a checkpoint of the table, None for any other."""
    row = next((row for row in table().models if model in row.checkpoints), None)
    if row is None:
        return None
    quantization = table().quantizations[row.checkpoints[model]]
    config = {**_written_out(row.config), **({"quantization_config": quantization} if quantization else {})}
    return from_config(config, row.source)


def published_models() -> tuple[str, ...]:
    """Return the names of all checkpoints of the table."""
    return tuple(model for row in table().models for model in row.checkpoints)


def _written_out(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with its repeated lists written out."""
    return {key: _value(inner) for key, inner in value.items()}


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"repeat", "times"}:
        return list(value["repeat"]) * int(value["times"])
    return _written_out(value)
