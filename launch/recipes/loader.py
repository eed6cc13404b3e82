"""Parse recipes and strategies from YAML. An error names the file with the line or the key path.

Recipes come from many authors: no YAML text may end in a traceback.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from errors import Refused
from launch.checked_data.data_file import parse_yaml
from launch.recipes.schema import Recipe, SchemaPart
from launch.recipes.strategy import Strategy

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

P = TypeVar("P", bound=SchemaPart)
EXTENSION = ("x-slipway", "extension")  # the key in a recipe, and the field
MAX_ERRORS = 5  # in one message
MOST_VALUES = 20_000  # the largest of 23 recipes of vllm-project/recipes has 469


def read_recipe(text: str, file: str) -> Recipe:
    """Return a recipe. Raises Refused with line and column of a YAML error, or the key path of a wrong type."""
    recipe = check(Recipe, load_yaml(text, file), file)
    return replace(recipe, unknown=tuple(_unknown_keys(recipe)))


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
    from pydantic import ValidationError

    try:
        found: P = _adapter(kind).validate_python({**_by_field(data), "file": file})
        return found
    except ValidationError as error:
        raise _wrong_types(error, file) from error
    except (RecursionError, TypeError) as error:
        raise Refused(f"{file}: not a valid {noun}", why=_first_line(error)) from error


def _adapter(kind: type[P]) -> TypeAdapter[P]:
    return _adapter_of(kind.__name__, kind.__module__)


@cache
def _adapter_of(name: str, module: str) -> TypeAdapter[Any]:
    """Return what checks a part of the schema; it is built once."""
    from pydantic import TypeAdapter

    return TypeAdapter(getattr(sys.modules[module], name))


def _by_field(data: dict[Any, Any]) -> dict[Any, Any]:
    """Return the mapping with the name of the field for Slipway's own key."""
    key, name = EXTENSION
    return {name if step == key else step: value for step, value in data.items()}


def _wrong_types(error: ValidationError, file: str) -> Refused:
    """Return the refusal that lists key path, expected and found type of the first errors."""
    errors = error.errors()[:MAX_ERRORS]
    lines = [f"{_path(e['loc'])}: {_message(e['msg'])}, found {_describe(e['input'])}" for e in errors]
    return Refused(f"{file}: {lines[0]}", why="; ".join(lines[1:]), fix="correct that key")


def _message(text: str) -> str:
    """Return pydantic's message without the names of Slipway's classes."""
    return re.sub(r"a dictionary or an instance of \w+", "a mapping", text.lower())


def _path(location: tuple[Any, ...]) -> str:
    key, name = EXTENSION
    return ".".join(key if step == name else str(step) for step in location) or "recipe"


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 40 else text[:37] + '...'}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unknown_keys(part: SchemaPart, path: str = "") -> Iterator[str]:
    """Yield the paths of the keys that the schema does not name, in reading order."""
    known = [field.name for field in fields(part)]  # type: ignore[arg-type]
    yield from (f"{path}{key}" for key in vars(part) if key not in known)
    for name in known:
        yield from _unknown_below(
            getattr(part, name), f"{path}{EXTENSION[0] if name == EXTENSION[1] else name}"
        )


def _unknown_below(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, SchemaPart):
        yield from _unknown_keys(value, f"{path}.")
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _unknown_below(child, f"{path}.{key}")
