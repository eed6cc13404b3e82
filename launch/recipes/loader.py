"""Recipes and strategies from YAML: a clear refusal with file, line or key path for what is not one.

Nothing that YAML can hold ends in a traceback: recipes are written by many hands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from errors import Refused
from launch.data_file import parse_yaml
from launch.recipes.checking import Part
from launch.recipes.schema import Recipe
from launch.recipes.strategy import Strategy

P = TypeVar("P", bound=Part)
SHOWN = 5  # errors in one message


def read_recipe(text: str, file: str) -> Recipe:
    """A recipe. Raises Refused with line and column for a YAML error, with the key path for a wrong type."""
    recipe = check(Recipe, load_yaml(text, file), file)
    return recipe.model_copy(update={"unknown": tuple(_unknown_keys(recipe))})


def read_strategy(text: str, file: str) -> Strategy:
    """A strategy. Raises Refused as `read_recipe` does."""
    return check(Strategy, load_yaml(text, file), file)


def load_yaml(text: str, file: str) -> Any:
    """YAML values. Raises Refused with file, line and column."""
    try:
        return parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else file
        raise Refused(f"{where}: not YAML", why=str(error.problem or error.context)) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"{file}: not YAML", why=_first_line(error)) from error


def check(kind: type[P], data: Any, file: str) -> P:
    """YAML values as a part of the schema. Raises Refused for a wrong type."""
    what = kind.__name__.lower()
    if not isinstance(data, dict):
        raise Refused(f"{file}: a {what} is a mapping", why=f"found {_kind(data)}")
    try:
        return kind.model_validate({**data, "file": file})
    except ValidationError as error:
        raise _wrong_type(error, file) from error
    except (RecursionError, TypeError) as error:
        raise Refused(f"{file}: not a {what}", why=_first_line(error)) from error


def _wrong_type(error: ValidationError, file: str) -> Refused:
    """Key paths, what was expected and what was found."""
    lines = [
        f"{_path(e['loc'])}: {e['msg'].lower()}, found {_kind(e['input'])}" for e in error.errors()[:SHOWN]
    ]
    return Refused(f"{file}: {lines[0]}", why="; ".join(lines[1:]), fix="correct that key")


def _path(location: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in location) or "recipe"


def _kind(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 40 else text[:37] + '...'}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unknown_keys(part: Part, path: str = "") -> Iterator[str]:
    """Paths of the keys that the schema does not name, in reading order."""
    for key in part.model_extra or ():
        yield f"{path}{key}"
    for key in type(part).model_fields:
        yield from _inside(getattr(part, key), f"{path}{key}")


def _inside(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Part):
        yield from _unknown_keys(value, f"{path}.")
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _inside(child, f"{path}.{key}")
