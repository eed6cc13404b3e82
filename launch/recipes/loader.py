"""Parse recipes and strategies from YAML. An error names the file with the line or the key path.

Recipes come from many authors: no YAML text may end in a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from errors import Refused
from launch.data_file import parse_yaml
from launch.recipes.schema import Recipe, SchemaPart
from launch.recipes.strategy import Strategy

P = TypeVar("P", bound=SchemaPart)
MAX_ERRORS = 5  # in one message
MOST_VALUES = 20_000  # the largest of 23 recipes of vllm-project/recipes has 469


def read_recipe(text: str, file: str) -> Recipe:
    """Return a recipe. Raises Refused with line and column of a YAML error, or the key path of a wrong type."""
    recipe = check(Recipe, load_yaml(text, file), file)
    return recipe.model_copy(update={"unknown": tuple(_unknown_keys(recipe))})


def read_strategy(text: str, file: str) -> Strategy:
    """Return a strategy. Raises Refused as `read_recipe` does."""
    return check(Strategy, load_yaml(text, file), file)


def load_yaml(text: str, file: str) -> Any:
    """Return the values of a YAML text. Raises Refused with file, line and column."""
    try:
        data = parse_yaml(text)
        if (size := _expanded(data, {})) > MOST_VALUES:
            why = f"it has {size:,} values; {MOST_VALUES:,} are read"
            raise Refused(f"{file}: too many values, aliases counted as often as they are used", why=why)
        return data
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else file
        raise Refused(f"{place}: not valid YAML", why=str(error.problem or error.context)) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"{file}: not valid YAML", why=_first_line(error)) from error


def _expanded(value: Any, known: dict[int, int]) -> int:
    """Return the number of values in a YAML value, as if every alias was written out.

    Raises RecursionError for a value that holds itself.
    """
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = -1
        children = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(child, known) for child in children)
    if known[id(value)] < 0:
        raise RecursionError("a value holds itself")
    return known[id(value)]


def check(kind: type[P], data: Any, file: str) -> P:
    """Return YAML values as a part of the schema. Raises Refused for a wrong type."""
    noun = kind.__name__.lower()
    if not isinstance(data, dict):
        raise Refused(f"{file}: a {noun} must be a mapping", why=f"found {_describe(data)}")
    try:
        return kind.model_validate({**data, "file": file})
    except ValidationError as error:
        raise _wrong_types(error, file) from error
    except (RecursionError, TypeError) as error:
        raise Refused(f"{file}: not a valid {noun}", why=_first_line(error)) from error


def _wrong_types(error: ValidationError, file: str) -> Refused:
    """Return the refusal that lists key path, expected and found type of the first errors."""
    errors = error.errors()[:MAX_ERRORS]
    lines = [f"{_path(e['loc'])}: {e['msg'].lower()}, found {_describe(e['input'])}" for e in errors]
    return Refused(f"{file}: {lines[0]}", why="; ".join(lines[1:]), fix="correct that key")


def _path(location: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in location) or "recipe"


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 40 else text[:37] + '...'}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unknown_keys(part: SchemaPart, path: str = "") -> Iterator[str]:
    """Yield the paths of the keys that the schema does not name, in reading order."""
    for key in part.model_extra or ():
        yield f"{path}{key}"
    for key in type(part).model_fields:
        yield from _unknown_below(getattr(part, key), f"{path}{key}")


def _unknown_below(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, SchemaPart):
        yield from _unknown_keys(value, f"{path}.")
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _unknown_below(child, f"{path}.{key}")
