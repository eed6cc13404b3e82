"""The questions of an acceptance test: the content of prompts.yaml."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launch.checked_data import data_file


@dataclass(frozen=True)
class Fact:
    """A question with one right answer."""

    ask: str
    expect: str


@dataclass(frozen=True)
class Language:
    """A question in another language than English."""

    language: str
    script: str
    ask: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Structured:
    """A question whose answer must follow a JSON schema."""

    ask: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Needle:
    """A sentence that is hidden among filler, and the question about it."""

    hidden: str
    ask: str
    words: tuple[str, ...]
    filler: tuple[str, ...]


@dataclass(frozen=True)
class Trigger:
    """A question with tools on offer, and the call that answers it."""

    ask: str
    call: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parallel:
    """A question that two calls of one tool answer."""

    ask: str
    call: str
    each: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Result:
    """A conversation in which a tool was called and has answered."""

    ask: str
    thought: str
    call: str
    arguments: dict[str, Any]
    result: str
    expect: str


@dataclass(frozen=True)
class Prompts:
    """The content of prompts.yaml."""

    facts: tuple[Fact, ...]
    long: tuple[str, ...]
    languages: tuple[Language, ...]
    english: frozenset[str]
    odd: tuple[str, ...]
    chance: str
    json: Structured
    needle: Needle
    tools: tuple[dict[str, Any], ...]
    triggers: tuple[Trigger, ...]
    parallel: Parallel
    result: Result

    @property
    def offered(self) -> list[dict[str, Any]]:
        """The tools in the form of the OpenAI API."""
        return [{"type": "function", "function": tool} for tool in self.tools]


@dataclass(frozen=True)
class Cause:
    """The likely cause of a failed item, and what to do."""

    cause: str
    fix: str


@functools.cache
def prompts() -> Prompts:
    """Read prompts.yaml."""
    return data_file.load(Path(__file__).with_name("prompts.yaml"), Prompts)


@functools.cache
def causes() -> dict[str, Cause]:
    """Read causes.yaml."""
    return data_file.load(Path(__file__).with_name("causes.yaml"), dict[str, Cause])
