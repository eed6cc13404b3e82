"""Options of `vllm serve` and their environment, each with where it came from.

A plan must say why every flag is there, so flags travel as `Arg`s with a source and never as bare words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

# Short spellings of vLLM's own parser (vllm/engine/arg_utils.py).
SHORT = {
    "-tp": "--tensor-parallel-size",
    "-pp": "--pipeline-parallel-size",
    "-dp": "--data-parallel-size",
    "-dpl": "--data-parallel-size-local",
    "-dpa": "--data-parallel-address",
    "-ep": "--enable-expert-parallel",
    "-cc": "--compilation-config",
    "-q": "--quantization",
}
NUMBER = re.compile(r"-[0-9.]+$")


@lru_cache(maxsize=4096)
def spelling(flag: str) -> str:
    """The long form of a flag, with dashes."""
    head, dot, tail = flag.partition(".")
    head = SHORT.get(head, head)
    return ("--" + head[2:].replace("_", "-") if head.startswith("--") else head) + dot + tail


@dataclass(frozen=True)
class Arg:
    """One option: its flag as written, its values, and its origin. `joined` is the --flag=value spelling."""

    flag: str
    values: tuple[str, ...] = ()
    source: str = ""
    why: str = ""
    joined: bool = False

    @property
    def key(self) -> str:
        """The one spelling of the flag that all ways of writing it share."""
        return spelling(self.flag)

    @property
    def value(self) -> str:
        """The first value, or an empty string for a switch."""
        return self.values[0] if self.values else ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words as they stand in argv."""
        return (f"{self.flag}={self.value}", *self.values[1:]) if self.joined else (self.flag, *self.values)


@dataclass(frozen=True)
class Setting:
    """One environment variable of the server, and its origin."""

    name: str
    value: str
    source: str = ""
    why: str = ""


@dataclass(frozen=True)
class Draft:
    """A command in the making: what each step of the planner takes and gives back."""

    args: tuple[Arg, ...] = ()
    env: tuple[Setting, ...] = ()
    corrections: tuple[str, ...] = ()  # where the recipe's words were changed, and why
    notes: tuple[str, ...] = ()

    def get(self, flag: str) -> Arg | None:
        """The option that counts: the last one with this flag."""
        return next((arg for arg in reversed(self.args) if arg.key == flag), None)

    def number(self, flag: str, default: int = 1) -> int | None:
        """The whole number behind a flag; the default where it is absent, None where it is not a number."""
        arg = self.get(flag)
        if arg is None:
            return default
        return int(arg.value) if arg.value.isascii() and arg.value.isdigit() else None

    def add(self, args: Iterable[Arg] = (), env: Iterable[Setting] = (), notes: Iterable[str] = ()) -> Draft:
        """The same with more at the end of each list; what comes later wins."""
        return replace(
            self,
            args=last_wins((*self.args, *args)),
            env=last_settings((*self.env, *env)),
            notes=(*self.notes, *notes),
        )

    def corrected(self, *why: str) -> Draft:
        """The same with a remark that the recipe's words were changed."""
        return replace(self, corrections=(*self.corrections, *why))

    def without(self, flag: str) -> Draft:
        """The same without an option."""
        return replace(self, args=tuple(arg for arg in self.args if arg.key != flag))


def is_flag(word: str) -> bool:
    """Whether a word starts an option. A negative number is a value."""
    return word.startswith("-") and not NUMBER.match(word)


def parse(words: Sequence[str], source: str = "", why: str = "") -> tuple[Arg, ...]:
    """Words of a command line as options; a value belongs to the flag before it."""
    found: list[Arg] = []
    for word in words:
        if is_flag(word):
            flag, equals, value = word.partition("=")
            found.append(Arg(flag, (value,) if equals else (), source, why, joined=bool(equals)))
        elif found:
            found[-1] = replace(found[-1], values=(*found[-1].values, word))
        else:
            found.append(Arg(word, (), source, why))
    return tuple(found)


def last_wins(args: Sequence[Arg]) -> tuple[Arg, ...]:
    """Each option once, with its last value and at the place of that one."""
    last = {arg.key: place for place, arg in enumerate(args)}
    return tuple(arg for place, arg in enumerate(args) if last[arg.key] == place)


def last_settings(env: Sequence[Setting]) -> tuple[Setting, ...]:
    """Each name once, at its first place, with its last value."""
    return tuple({setting.name: setting for setting in env}.values())


def in_order(args: Sequence[Arg], order: Sequence[str]) -> tuple[Arg, ...]:
    """The options in a recipe's own order; those it does not name follow as they came."""
    if not order:
        return tuple(args)
    place = {flag: number for number, flag in enumerate(order)}
    return tuple(sorted(args, key=lambda arg: place.get(arg.key, len(place))))


def words(args: Sequence[Arg]) -> tuple[str, ...]:
    """All words of all options."""
    return tuple(word for arg in args for word in arg.tokens)
