"""The content of dialogues.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch.checked_data import data_file

DATA = Path(__file__).with_name("dialogues.yaml")


@dataclass(frozen=True)
class Chat:
    """Questions that have the same answer."""

    ask: tuple[str, ...]
    think: str
    say: str


@dataclass(frozen=True)
class Sums:
    """Additions of two numbers from 1 to `largest`."""

    ask: str
    think: str
    say: str
    largest: int


@dataclass(frozen=True)
class Pairs:
    """One question about each key of `pairs`."""

    ask: str
    think: str
    say: str
    pairs: dict[str, str]


@dataclass(frozen=True)
class Chance:
    """A question with several equally likely answers."""

    ask: str
    think: str
    say: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """A question and an answer about a name `{a}`."""

    ask: str
    think: str
    say: str


@dataclass(frozen=True)
class Needle:
    """A sentence hidden among filler, and the question about it."""

    hidden: str
    ask: str
    think: str
    say: str
    filler: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """Questions that a tool answers: the calls, and the second turn after the tool's result."""

    ask: tuple[str, ...]
    think: str
    call: tuple[dict[str, Any], ...]
    result: str = ""
    think_then: str = ""
    say: str = ""


@dataclass(frozen=True)
class Data:
    """The content of dialogues.yaml."""

    chats: tuple[Chat, ...]
    sums: Sums
    capitals: Pairs
    chances: tuple[Chance, ...]
    json: Template
    needle: Needle
    tools: tuple[dict[str, Any], ...]
    calls: tuple[Call, ...]
    skies: tuple[str, ...]
    cities: tuple[str, ...]
    unseen: tuple[str, ...]
    ships: tuple[str, ...]
    code_words: tuple[str, ...]
    syllables: tuple[str, ...]


def load() -> Data:
    """Read dialogues.yaml."""
    return data_file.load(DATA, Data)
