"""What an update of a recipe source changes for the models of this host: the differences of their commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Refused, SlipwayError
from launch.planning.matrix import rows
from launch.recipes.repository import RecipeRepository, builtin_shapes, checkpoints, open_folder
from launch.render.shell import paired

COMMANDS = ("argv", "head_argv", "worker_argv")

Key = tuple[str, str]  # hardware and strategy


@dataclass(frozen=True)
class ChangedCommand:
    """The options that an update adds and removes, and the hardware and strategies for which it does."""

    model: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    where: tuple[str, ...]


def models_here() -> set[str]:
    """Return the models that a server of this host serves, or that are in its Hugging Face cache."""
    from launch.engine import client, servers
    from launch.weights.cached_models import cached_models

    cached = {model.model for model in cached_models()}
    try:
        return cached | {server.model for server in servers.list_servers(client.connect(timeout=5))}
    except SlipwayError:  # without an engine nothing runs
        return cached


def changed_commands(
    old_folder: Path, new_folder: Path, names: Iterable[str], models: set[str]
) -> Iterator[ChangedCommand]:
    """Yield the differences between two versions of a source, for the recipes that serve one of these models."""
    old, new = open_folder(old_folder), open_folder(new_folder)
    for name in names:
        before, after = _commands(old, name, models), _commands(new, name, models)
        yield from _differences(name, before, after)


def _commands(repository: RecipeRepository, name: str, models: set[str]) -> dict[Key, set[str]]:
    """Return the options of each hardware and strategy; nothing for a recipe that serves none of the models."""
    try:
        recipe = repository.recipe(name)
    except Refused:  # it is new or was removed, or cannot be read
        return {}
    if models.isdisjoint(checkpoints(recipe)):
        return {}
    found = rows(repository, recipe, builtin_shapes())
    return {(row["hardware"], row["strategy"]): set(_options(row)) for row in found}


def _options(row: Mapping[str, Any]) -> Iterator[str]:
    for key in COMMANDS:
        yield from (" ".join(group) for group in paired(tuple(row.get(key, ())[3:])))
    yield from (f"{name}={value}" for name, value in row["env"].items())
    if "refused" in row:
        yield f"refused: {row['refused']}"


def _differences(
    name: str, before: Mapping[Key, set[str]], after: Mapping[Key, set[str]]
) -> Iterator[ChangedCommand]:
    """Yield each difference once, with all hardware and strategies that have it."""
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, set()), after.get(key, set())
        if old != new:
            change = (tuple(sorted(new - old)), tuple(sorted(old - new)))
            places.setdefault(change, []).append(" ".join(key))
    for (added, removed), where in places.items():
        yield ChangedCommand(name, added, removed, tuple(where))
