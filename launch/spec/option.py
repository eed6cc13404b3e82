"""One option of a command: its help text, its default, and how its text becomes a value. Nothing is printed here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from errors import Refused, choice

Parse = Callable[[str, Any], Any]  # (label, given text or list of texts) -> value


@dataclass(frozen=True)
class Option:
    """An option. `name`, `kind` and `default` come from the dataclass field or the parameter that it describes."""

    help: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    group: str = ""
    flag: str = ""  # without dashes; default: the name
    short: str = ""  # one letter
    invoke: bool = False  # `invoke` takes the short form too
    positional: bool = False  # may also be given as an argument
    required: bool = False
    setting: bool = False  # may also be given in the environment or in a configuration file
    overrides: tuple[str, ...] = ()  # settings that do not count if this option is given
    minimum: int = 0
    maximum: int | None = None
    parse: Parse | None = None
    name: str = ""
    kind: Any = str
    default: Any = None

    @property
    def repeatable(self) -> bool:
        """Whether every use adds a value."""
        return get_origin(self.kind) in (tuple, list)

    @property
    def key(self) -> str:
        """The flag as a Python name: what a setting is called."""
        return self.flag.replace("-", "_")

    @property
    def placeholder(self) -> str:
        """What stands for the value in help texts."""
        if self.choices:
            return f"{{{','.join(self.choices)}}}"
        return self.metavar or ("NUMBER" if self.is_integer else self.key.upper())

    @property
    def is_integer(self) -> bool:
        """Whether the value is an integer, or an integer or None."""
        return int in (self.kind, *get_args(self.kind)) and not self.repeatable

    def value(self, given: Any, label: str = "") -> Any:
        """Parse what was given. Raises Refused, which names `label` (default: the flag)."""
        label = label or f"--{self.flag}"
        if self.parse:
            return self.parse(label, given)
        if self.repeatable:
            return tuple(str(text) for text in given)
        if self.kind is bool:
            return str(given).lower() in ("true", "yes", "on", "1")
        if self.is_integer:
            return integer(label, given, self.minimum, self.maximum)
        # YAML reads an unquoted yes or no as a truth value.
        text = {True: "yes", False: "no"}.get(given, str(given)) if isinstance(given, bool) else str(given)
        if self.choices and text not in self.choices:
            raise choice(f"{label} value", text, self.choices)
        return text


def option(default: Any, help: str, **facts: Any) -> Any:
    """Return a dataclass field that is an option of a command."""
    return field(default=default, metadata={"option": Option(help, **facts)})


def bind(described: Option, name: str, kind: Any, default: Any) -> Option:
    """Return the option with name, type and default of its field or parameter."""
    flag = described.flag or name.strip("_").replace("_", "-")
    return dataclasses.replace(described, name=name, kind=kind, default=default, flag=flag)


def options_of(cls: type) -> tuple[Option, ...]:
    """Return the options that the fields of a dataclass describe, those with a description."""
    from typing import get_type_hints

    kinds = get_type_hints(cls)
    fields: Iterable[Any] = dataclasses.fields(cls)
    described = ((f, f.metadata["option"]) for f in fields if "option" in f.metadata)
    return tuple(bind(option, f.name, kinds[f.name], f.default) for f, option in described)


def integer(label: str, given: Any, minimum: int = 0, maximum: int | None = None) -> int:
    """Parse an integer within bounds. Raises Refused, which names `label`."""
    text = str(given)
    number = int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 else None
    if number is None or number < minimum or (maximum is not None and number > maximum):
        raise Refused(f"{label} must be {_range(minimum, maximum)} (got '{text[:60]}')")
    return number


def _range(minimum: int, maximum: int | None) -> str:
    if maximum is not None:
        return f"an integer from {minimum} to {maximum}"
    return {0: "a non-negative integer", 1: "a positive integer"}.get(
        minimum, f"an integer, {minimum} or more"
    )


def pairs(label: str, given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Parse `NAME=VALUE` texts. Raises Refused for a text without a name or without `=`."""
    found = []
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise Refused(f"{label} {text}: a value is missing", fix=f"write {label} NAME=VALUE")
        found.append((name, value))
    return tuple(found)


def modes(label: str, given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Parse `NAME` or `NAME=MODE` texts; the mode of a bare name is empty."""
    return tuple((text.partition("=")[0], text.partition("=")[2]) for text in given)
