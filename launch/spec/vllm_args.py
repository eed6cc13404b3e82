"""Options and environment variables of `vllm serve`, each with its origin.

A plan gives a reason for every flag, so options are `Arg`s with a source and not plain strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from launch.spec.sizes import size_of

# Other spellings of vLLM's own parser (vllm/engine/arg_utils.py, 0.32.0; a test compares them with the vocabulary).
SHORT = {
    "-asc": "--api-server-count",
    "-ac": "--attention-config",
    "-cc": "--compilation-config",
    "-dpa": "--data-parallel-address",
    "-dpb": "--data-parallel-backend",
    "-dpe": "--data-parallel-external-lb",
    "-dph": "--data-parallel-hybrid-lb",
    "-dpm": "--data-parallel-multi-port-external-lb",
    "-dpn": "--data-parallel-rank",
    "-dpp": "--data-parallel-rpc-port",
    "-dp": "--data-parallel-size",
    "-dpl": "--data-parallel-size-local",
    "-dpr": "--data-parallel-start-rank",
    "-dcp": "--decode-context-parallel-size",
    "-dc": "--diffusion-config",
    "-ep": "--enable-expert-parallel",
    "-n": "--nnodes",
    "-r": "--node-rank",
    "-pp": "--pipeline-parallel-size",
    "-pcp": "--prefill-context-parallel-size",
    "-q": "--quantization",
    "-sc": "--speculative-config",
    "-tp": "--tensor-parallel-size",
    "--device-memory-utilization": "--gpu-memory-utilization",
}
WHITESPACE = re.compile(r"\s")
NUMBER = re.compile(r"-[0-9.]+$")


@lru_cache(maxsize=4096)
def long_form(flag: str) -> str:
    """Return the long form of a flag, with dashes."""
    head, dot, tail = flag.partition(".")
    head = SHORT.get(head, head)
    return ("--" + head[2:].replace("_", "-") if head.startswith("--") else head) + dot + tail


@dataclass(frozen=True)
class Arg:
    """One option: its flag as written, its values, and its origin. `joined`: written as --flag=value."""

    flag: str
    values: tuple[str, ...] = ()
    source: str = ""
    why: str = ""
    joined: bool = False

    @cached_property
    def key(self) -> str:
        """Return the long form, which is the same for all ways to write the flag."""
        return long_form(self.flag)

    @property
    def value(self) -> str:
        """Return the first value, "" for a switch."""
        return self.values[0] if self.values else ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the option as parts of argv."""
        return (f"{self.flag}={self.value}", *self.values[1:]) if self.joined else (self.flag, *self.values)


@dataclass(frozen=True)
class EnvVar:
    """One environment variable of the server, and its origin."""

    name: str
    value: str
    source: str = ""
    why: str = ""


@dataclass(frozen=True)
class Draft:
    """An unfinished command: every step of the planner takes one and returns a changed copy."""

    args: tuple[Arg, ...] = ()
    env: tuple[EnvVar, ...] = ()
    corrections: tuple[str, ...] = ()  # which options of the recipe were changed, and why
    notes: tuple[str, ...] = ()

    def get(self, flag: str) -> Arg | None:
        """Return the last option with this flag, which is the one that vLLM uses."""
        return next((arg for arg in reversed(self.args) if arg.key == flag), None)

    def number(self, flag: str, default: int = 1) -> int | None:
        """Return the integer value of a flag (128k is one); the default if the flag is absent, None if it has none."""
        arg = self.get(flag)
        if arg is None:
            return default
        size = size_of(arg.value)
        return size if size is not None and size >= 0 else None

    def add(self, args: Iterable[Arg] = (), env: Iterable[EnvVar] = (), notes: Iterable[str] = ()) -> Draft:
        """Return a copy with these items added at the end; a later item replaces an earlier one."""
        return replace(
            self,
            args=last_wins((*self.args, *args)),
            env=last_env((*self.env, *env)),
            notes=(*self.notes, *notes),
        )

    def corrected(self, *why: str) -> Draft:
        """Return a copy that records these changes to the recipe's options."""
        return replace(self, corrections=(*self.corrections, *why))

    def without(self, flag: str) -> Draft:
        """Return a copy without an option."""
        return replace(self, args=tuple(arg for arg in self.args if arg.key != flag))


def is_flag(word: str) -> bool:
    """Return whether a part of argv starts an option. A negative number is a value."""
    return word.startswith("-") and not NUMBER.match(word)


def split_words(argv: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split parts of argv that hold a flag and its value, as `--max-model-len auto` in one part; return why, too."""
    return _split_words(tuple(argv))


@lru_cache(maxsize=4096)  # as for _parse
def _split_words(argv: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words: list[str] = []
    why: list[str] = []
    for word in argv:
        flag, *value = WHITESPACE.split(word.strip(), maxsplit=1) if is_flag(word) else (word,)
        if value and "=" not in flag and is_flag(flag):
            words += (flag, value[0].strip())
            why.append(f"'{word}' is one argument: split into {flag} and its value")
        else:
            words.append(word)
    return tuple(words), tuple(why)


def parse(argv: Sequence[str], source: str = "", why: str = "") -> tuple[Arg, ...]:
    """Split argv into options; a value belongs to the flag before it."""
    return _parse(tuple(argv), source, why)


@lru_cache(maxsize=4096)  # the layers of a recipe are the same in each of its plans
def _parse(argv: tuple[str, ...], source: str, why: str) -> tuple[Arg, ...]:
    args: list[Arg] = []
    for word in argv:
        if is_flag(word):
            flag, equals, value = word.partition("=")
            args.append(Arg(flag, (value,) if equals else (), source, why, joined=bool(equals)))
        elif args:
            args[-1] = replace(args[-1], values=(*args[-1].values, word))
        else:
            args.append(Arg(word, (), source, why))
    return tuple(args)


def last_wins(args: Sequence[Arg]) -> tuple[Arg, ...]:
    """Return each option once: its last occurrence, in place. `--x` and `--no-x` are one option, as for vLLM."""
    options = [_positive(arg.key) for arg in args]
    last = {option: index for index, option in enumerate(options)}
    return tuple(arg for index, arg in enumerate(args) if last[options[index]] == index)


def _positive(flag: str) -> str:
    return f"--{flag[5:]}" if flag.startswith("--no-") else flag


def last_env(env: Sequence[EnvVar]) -> tuple[EnvVar, ...]:
    """Return each variable once: at its first place, with its last value."""
    return tuple({variable.name: variable for variable in env}.values())


def in_order(args: Sequence[Arg], order: Sequence[str]) -> tuple[Arg, ...]:
    """Return the options in a recipe's own order; options that it does not name follow unchanged."""
    if not order:
        return tuple(args)
    position = {flag: index for index, flag in enumerate(order)}
    return tuple(sorted(args, key=lambda arg: position.get(arg.key, len(position))))


def to_argv(args: Sequence[Arg]) -> tuple[str, ...]:
    """Return the options as argv."""
    return tuple(token for arg in args for token in arg.tokens)
