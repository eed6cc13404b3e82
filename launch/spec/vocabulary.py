"""The vocabulary of a vLLM version: options of `vllm serve`, keys of its JSON options, variables, parsers.

One file for each version in `vocabularies/`, read from an image or a wheel by `scripts/read_vocabulary.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from packaging.version import Version

FOLDER = Path(__file__).with_name("vocabularies")
Word = str | int | bool
LIMITS = ("greater than", "at least", "less than", "at most")


@dataclass(frozen=True)
class Bounds:
    """The limits of a number; None: no limit."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def holds(self, number: float) -> bool:
        """Return whether a number keeps the limits. NaN breaks every limit."""
        return (
            (self.gt is None or number > self.gt)
            and (self.ge is None or number >= self.ge)
            and (self.lt is None or number < self.lt)
            and (self.le is None or number <= self.le)
        )

    def limits(self) -> list[str]:
        """Return the limits in words."""
        limits = zip(LIMITS, (self.gt, self.ge, self.lt, self.le), strict=True)
        return [f"{words} {limit:g}" for words, limit in limits if limit is not None]


@dataclass(frozen=True)
class VllmOption(Bounds):
    """An option of `vllm serve`. `name` is the first long form, `also` are the others.

    `kind` is switch, text, integer, number, size (an integer as 128k), size_or_auto, json, object_or_text, config (a
    JSON object with the keys of `config`) or name_and_path (NAME=PATH or a JSON object).
    """

    name: str = ""
    kind: str = "text"
    also: tuple[str, ...] = ()
    off: tuple[str, ...] = ()  # spellings that switch it off
    nargs: str | int | None = None  # as in argparse
    optional: bool = False  # an empty value and None are accepted
    choices: tuple[str, ...] = ()
    any_case: bool = False  # of the choices
    folds: bool = False  # A-B is read as a_b
    known: tuple[str, ...] = ()  # words that vLLM itself defines; plugins may add others
    config: str = ""
    loads: bool = False  # a config is read as plain JSON, without 80m for a number
    repeats: bool = False  # every use adds a value


@dataclass(frozen=True)
class ConfigKey(Bounds):
    """A key of a JSON option: the JSON types and the words that vLLM's class accepts, or the config it holds."""

    accepts: tuple[str, ...] = ()
    items: tuple[str, ...] = ()  # the types in an array
    choices: tuple[Word, ...] = ()
    config: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """What one version accepts. `rows` and `keys` hold the described options and configs as in the file."""

    version: str
    commit: str
    source: str
    rows: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, Mapping[str, Mapping[str, Any]]]
    env: Mapping[str, str | tuple[str, ...]]
    tool_parsers: frozenset[str]
    reasoning_parsers: frozenset[str]
    registered: Mapping[str, tuple[str, ...]]

    @cached_property
    def names(self) -> dict[str, str]:
        """Map every spelling of every option to its name."""
        spellings = (
            (name, (name, *row.get("also", ()), *row.get("off", ()))) for name, row in self.rows.items()
        )
        return {spelled: name for name, words in spellings for spelled in words}

    def option(self, name: str) -> VllmOption | None:
        """Return the option with this spelling, None if this version lacks it."""
        found = self.names.get(name)
        if not found:
            return None
        if found not in self._options:
            self._options[found] = _described(VllmOption, self.rows[found], name=found)
        return self._options[found]

    def completed(self, prefix: str) -> str:
        """Return the only long spelling that begins like this, as argparse completes it; "" if there is none."""
        if not prefix.startswith("--"):
            return ""
        found = [spelled for spelled in self.names if spelled.startswith(prefix)]
        return found[0] if len(found) == 1 else ""

    def config(self, name: str) -> dict[str, ConfigKey] | None:
        """Return the keys of a config, None if it is not known."""
        keys = self.keys.get(name)
        if keys and name not in self._configs:
            self._configs[name] = {key: _described(ConfigKey, row) for key, row in keys.items()}
        return self._configs.get(name)

    @cached_property
    def _options(self) -> dict[str, VllmOption]:
        """Hold the options that were described before."""
        return {}

    @cached_property
    def _configs(self) -> dict[str, dict[str, ConfigKey]]:
        """Hold the configs that were described before."""
        return {}


def _described(cls: type[Any], row: Mapping[str, Any], **more: Any) -> Any:
    """Return a row as an object; keys that the type does not have are ignored."""
    known = {field.name for field in fields(cls)}
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key in known}
    return cls(**values, **more)


@cache
def versions() -> tuple[str, ...]:
    """Return the versions that have a vocabulary, the oldest first."""
    return tuple(sorted((path.stem for path in FOLDER.glob("*.json")), key=Version))


@cache
def vocabulary(version: str) -> Vocabulary | None:
    """Return the vocabulary of a version; a patch release without its own has that of the last one of its minor."""
    wanted = Version(version).release[:2]
    same = [known for known in versions() if Version(known).release[:2] == wanted]
    name = version if version in same else same[-1] if same else ""
    return read(FOLDER / f"{name}.json") if name else None


def read(path: Path) -> Vocabulary:
    """Return the vocabulary in a file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    env = {name: tuple(kind) if isinstance(kind, list) else kind for name, kind in data["env"].items()}
    registered = {name: tuple(words) for name, words in data["registered"].items()}
    return Vocabulary(
        version=data["version"],
        commit=data["commit"],
        source=data["source"],
        rows=data["options"],
        keys=data["configs"],
        env=env,
        tool_parsers=frozenset(data["tool_parsers"]),
        reasoning_parsers=frozenset(data["reasoning_parsers"]),
        registered=registered,
    )


def versions_with_option(name: str) -> tuple[str, ...]:
    """Return the versions that have an option with this spelling."""
    return tuple(known for known in versions() if (words := vocabulary(known)) and name in words.names)


def versions_with_env(name: str) -> tuple[str, ...]:
    """Return the versions that read a variable."""
    return tuple(known for known in versions() if (words := vocabulary(known)) and name in words.env)


def versions_with_key(config: str, key: str) -> tuple[str, ...]:
    """Return the versions whose config has a key."""
    return tuple(
        known for known in versions() if (words := vocabulary(known)) and key in words.keys.get(config, {})
    )


@cache
def union() -> Vocabulary:
    """Return the names of all versions, for a vLLM whose version is not known; the newest describes an option.

    Choices and keys of configs differ from version to version, so nothing is checked against them.
    """
    known = [words for name in versions() if (words := vocabulary(name))]
    rows: dict[str, Mapping[str, Any]] = {}
    for words in known:
        for name, row in words.rows.items():
            rows[name] = {**row, **_joined(rows.get(name, {}), row), "choices": []}
    return Vocabulary(
        version="",
        commit="",
        source="all versions",
        rows=rows,
        keys={},
        env={name: _kind(kind) for words in known for name, kind in words.env.items()},
        tool_parsers=frozenset().union(*(words.tool_parsers for words in known)),
        reasoning_parsers=frozenset().union(*(words.reasoning_parsers for words in known)),
        registered={},
    )


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the spellings of an option in two versions, each once."""
    lists = (name for name in ("also", "off") if name in old or name in new)
    return {name: list(dict.fromkeys([*new.get(name, ()), *old.get(name, ())])) for name in lists}


def _kind(kind: str | tuple[str, ...]) -> str:
    return kind if isinstance(kind, str) else "text"
