"""Check the values of one option of `vllm serve` as vLLM's own parser reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from launch.planning.near import hint
from launch.spec.sizes import size_of
from launch.spec.vocabulary import ConfigKey, VllmOption, Vocabulary, Word

NONE = ("", "None")  # no value, for an option that may have none
SHOWN = 60  # characters of a value in a message
# JSON numbers with a suffix, outside strings: {"cpu_bytes_to_use": 80m} (vllm/engine/arg_utils.py)
STRINGS = re.compile(r'("(?:[^"\\]|\\.)*")')
SUFFIXED = re.compile(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b")
TRUTH = (
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "t",
    "f",
    "y",
    "n",
    "1",
    "0",
)  # what pydantic reads as bool
SIGNS: Mapping[float | None, str] = {0: "a non-negative integer", 1: "a positive integer"}
JSON_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def value_faults(
    option: VllmOption, values: tuple[str, ...], words: Vocabulary, plugins: bool = False
) -> Iterator[str]:
    """Yield what is wrong with the values of an option. `plugins` may register words that vLLM itself does not."""
    if number := _number_fault(option, len(values)):
        yield number
    elif option.kind != "switch":
        for value in values:
            if not (option.optional and value in NONE):
                yield from _faults(option, value, words, plugins)


def _number_fault(option: VllmOption, given: int) -> str:
    """Return what is wrong with the number of values."""
    if option.kind == "switch":
        return "takes no value" if given else ""
    if option.nargs == "?":
        return "takes one value" if given > 1 else ""
    if option.nargs in ("+", "*"):
        return "needs a value" if not given and option.nargs == "+" else ""
    wanted = option.nargs if isinstance(option.nargs, int) else 1
    if given < wanted:
        return "needs a value"
    return (
        f"takes {'one value' if wanted == 1 else f'{wanted} values'}, not {given}" if given > wanted else ""
    )


def _faults(option: VllmOption, value: str, words: Vocabulary, plugins: bool) -> Iterator[str]:
    if option.kind == "config":
        yield from config_faults(option, value, words)
    elif option.kind == "json" or (option.kind == "object_or_text" and _looks_like_an_object(value)):
        if plain_json(value) is BROKEN:
            yield f"is not valid JSON ({_json_error(value)})"
    elif option.kind in READERS:
        noun, read = READERS[option.kind]
        number = read(value)
        if number is None or not option.holds(number):
            yield f"must be {_number_noun(option, noun)} (got '{shown(value)}')"
        elif option.choices and f"{number:g}" not in option.choices:
            yield f"has no choice '{shown(value)}' ({_some(option.choices)})"
    elif option.kind == "name_and_path":
        if not _has_name_and_path(value):
            yield f"must be NAME=PATH or a JSON object with 'name' and 'path' (got '{shown(value)}')"
    else:
        yield from _word_faults(option, value, words, plugins)


def _has_name_and_path(value: str) -> bool:
    if not _looks_like_an_object(value):
        name, _, path = value.partition("=")
        return bool(name and path)
    data = plain_json(value)
    return isinstance(data, dict) and all(isinstance(data.get(key), str) for key in ("name", "path"))


def _word_faults(option: VllmOption, value: str, words: Vocabulary, plugins: bool) -> Iterator[str]:
    registered = words.registered.get(option.name, ())
    choices = option.choices or registered
    if plugins and (
        option.any_case or not option.choices
    ):  # vLLM itself checks these words, after plugins were loaded
        choices = ()
    if choices and not _is_choice(option, value, choices):
        yield f"has no choice '{shown(value)}'{hint(value, choices) or f' ({_some(choices)})'}"
    elif _is_unknown(value, (*option.known, *registered)):
        near = hint(value, (*option.known, *registered))
        if near or (option.known and not plugins):
            yield f"has no choice '{shown(value)}'{near or f' ({_some(option.known)})'}"


def _is_unknown(value: str, known: tuple[str, ...]) -> bool:
    """Return whether a word is none of those that vLLM defines and no path of a class either."""
    return value not in known and "." not in value


def _is_choice(option: VllmOption, value: str, choices: tuple[str, ...]) -> bool:
    if option.folds:
        value = value.lower().replace("-", "_")
    return value in choices or (option.any_case and value.upper() in {choice.upper() for choice in choices})


def _looks_like_an_object(value: str) -> bool:
    return value.strip().startswith("{")


def shown(value: str) -> str:
    """Return a value for a message, shortened."""
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}..."


# ---- numbers


def _number_noun(option: VllmOption, noun: str) -> str:
    """Return what a number must be, with its limits."""
    if option.kind == "integer" and option.ge in SIGNS and option.le is None:
        return SIGNS[option.ge]
    return noun if option.kind == "size_or_auto" else " and ".join((noun, *option.limits()))


def _integer(text: str) -> int | None:
    try:
        return (
            int(text) if text.isascii() else None
        )  # other digits are numbers too, which no other check reads
    except ValueError:  # no number, or one of more than 4,300 digits
        return None


def _float(text: str) -> float | None:
    try:
        return float(text) if text.isascii() else None
    except ValueError:
        return None


def _size_or_auto(text: str) -> int | None:
    size = -1 if text.strip().lower() == "auto" else size_of(text)
    return size or None  # an empty context serves nothing


READERS: Mapping[str, tuple[str, Callable[[str], float | None]]] = {
    "integer": ("an integer", _integer),
    "number": ("a number", _float),
    "size": ("an integer such as 8192 or 8k", size_of),
    "size_or_auto": ("auto or an integer such as 131072 or 128K", _size_or_auto),
}


# ---- JSON

BROKEN = object()


def parsed_json(text: str) -> Any:
    """Return the JSON value of a text, BROKEN if it has none. Numbers may have a suffix, as in vLLM."""
    parts = STRINGS.split(text)
    parts[::2] = (SUFFIXED.sub(lambda match: str(size_of(match[0])), part) for part in parts[::2])
    return plain_json("".join(parts))


def plain_json(text: str) -> Any:
    """Return the JSON value of a text, BROKEN if it has none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return BROKEN


def _json_error(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "a number is too long"


def config_faults(option: VllmOption, value: str, words: Vocabulary) -> Iterator[str]:
    """Yield what is wrong with the JSON object of a config option."""
    data = plain_json(value) if option.loads else parsed_json(value)
    if data is BROKEN:
        yield f"is not valid JSON ({_json_error(value)})"
    elif not isinstance(data, dict):
        yield f"must be a JSON object (got '{shown(value)}')"
    else:
        yield from object_faults(option.config, data, words)


def object_faults(config: str, data: Mapping[str, Any], words: Vocabulary, path: str = "") -> Iterator[str]:
    """Yield what is wrong with the keys of a config and of the configs in it."""
    keys = words.config(config)
    if keys is None:
        return
    for name, value in data.items():
        place = f"{path}{name}"
        key = keys.get(name) or keys.get(name.replace("-", "_"))
        if key is None:
            yield f"has no key '{shown(place)}'{hint(name, tuple(keys))}"
        elif key.config and isinstance(value, dict):
            yield from object_faults(key.config, value, words, f"{place}.")
        elif fault := key_fault(key, value):
            yield f"key '{place}' {fault}"


def key_fault(key: ConfigKey, value: Any) -> str:
    """Return what is wrong with the value of a key, "" if nothing is."""
    text = shown(json.dumps(value))
    if any(value == choice and type(value) is type(choice) for choice in key.choices):
        return ""
    if not _accepts(key.accepts, key.choices, value):
        if key.choices and isinstance(value, (str, int)):
            choices = tuple(str(choice) for choice in key.choices)
            return f"has no choice {text}{hint(str(value), choices) or f' ({_some(choices)})'}"
        silent = ("null", "boolean") if "integer" in key.accepts else ("null",)  # true is 1
        wanted = " or ".join(kind for kind in key.accepts if kind not in silent)
        return f"must be {wanted or _some(tuple(map(str, key.choices)))} (got {text})"
    if isinstance(value, (int, float)) and not key.holds(value):
        return f"must be {' and '.join(key.limits())} (got {text})"
    if isinstance(value, list) and key.items and not all(_accepts(key.items, (), item) for item in value):
        return f"must be a list of {' or '.join(key.items)} (got {text})"
    return ""


def _accepts(accepts: tuple[str, ...], choices: tuple[Word, ...], value: Any) -> bool:
    """Return whether a key accepts the type of a value, as pydantic converts it: 1 is true, "3" is a number."""
    kind = JSON_TYPES.get(type(value), "")
    if kind == "integer" and any(isinstance(choice, int) for choice in choices):
        return False  # its choices are the numbers that it accepts
    if kind in accepts:
        return True
    if kind == "integer":
        return "number" in accepts or ("boolean" in accepts and value in (0, 1))
    if kind == "number":
        return "integer" in accepts and value.is_integer()
    return kind == "string" and not choices and _is_number_in(value, accepts)


def _is_number_in(text: str, accepts: tuple[str, ...]) -> bool:
    if "integer" in accepts or "number" in accepts:
        return (_float if "number" in accepts else _integer)(text) is not None
    return "boolean" in accepts and text.lower() in TRUTH


def _some(choices: tuple[str, ...]) -> str:
    return "choose from " + ", ".join(choices[:8]) + (", ..." if len(choices) > 8 else "")


# ---- dotted options: --compilation-config.mode 3


def dotted_value(key: str, text: str) -> Any:
    """Return the value of a dotted option as vLLM reads it: a list for `key+`, else JSON, a size or the text."""
    if key.endswith("+"):
        return text.split(",")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        size = size_of(text)
        return text if size is None else size


def dotted_faults(option: VllmOption, key: str, values: tuple[str, ...], words: Vocabulary) -> Iterator[str]:
    """Yield what is wrong with an option that sets one key of a JSON object."""
    if option.kind not in ("config", "json", "object_or_text"):
        yield f"has no keys: {option.name} is not a JSON object"
    elif len(values) != 1:
        yield "takes one value" if values else "needs a value"
    elif option.kind == "config":
        value = dotted_value(key, values[0])
        for step in reversed(key.removesuffix("+").split(".")):
            value = {step: value}
        yield from object_faults(option.config, value, words)


# ---- variables


def env_fault(kind: str | tuple[str, ...], value: str) -> str:
    """Return what is wrong with the value of a variable, "" if nothing is."""
    if isinstance(kind, tuple):
        ok = not value or value.upper() in {word.upper() for word in kind}
        return "" if ok else f"has no choice '{shown(value)}'{hint(value, kind) or f' ({_some(kind)})'}"
    if kind in READERS and READERS[kind][1](value) is None:
        return f"must be {READERS[kind][0]} (got '{shown(value)}')"
    return ""
