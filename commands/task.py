"""The decorator behind every verb: options become values, errors become one clear message and an exit code."""

from __future__ import annotations

import dataclasses
import errno
import functools
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, get_origin, get_type_hints

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from errors import Refused, SlipwayError, choice
from launch.spec.option import Option, bind, options_of

NOTHING: tuple[Any, ...] = ("", None, False, 0, [], ())  # what an option holds that was not given
Parameters = dict[str, tuple[Option, ...]]


class Verb(Task[Any]):
    """An invoke task whose arguments are the options that its parameters describe.

    A parameter is `name: Annotated[type, Option(...)] = default`. A parameter whose type is a dataclass stands for
    the options that its fields describe (`launch/spec/plan_options.py`).
    """

    def __init__(self, body: Callable[..., None], help: Mapping[str, str], iterable: Sequence[str]) -> None:
        self.parameters = _parameters(body, help, iterable)
        self.options = tuple(option for options in self.parameters.values() for option in options)
        required = [option.key for option in self.options if option.default is inspect.Parameter.empty]
        super().__init__(_guarded(body, self.parameters), positional=required)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options as invoke's parser knows them."""
        return [_argument(option, option.key in self.positional) for option in self.options]


def verb(
    help: Mapping[str, str] | None = None, iterable: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Verb]:
    """Make a function an invoke task whose SlipwayErrors end as `Exit(message, code)`."""
    return lambda body: Verb(body, help or {}, iterable)


def _parameters(body: Callable[..., None], help: Mapping[str, str], iterable: Sequence[str]) -> Parameters:
    """The options of each parameter but the first, which is invoke's context."""
    hints = get_type_hints(body, include_extras=True)
    found: Parameters = {}
    for name, parameter in list(inspect.signature(body).parameters.items())[1:]:
        hint = hints.get(name, str)
        if is_dataclass(hint) and isinstance(hint, type):
            found[name] = tuple(_helped(option, help) for option in options_of(hint))
        elif get_origin(hint) is Annotated:
            found[name] = (bind(hint.__metadata__[0], name, hint.__origin__, parameter.default),)
        else:
            text = help.get(name) or help.get(name.strip("_").replace("_", "-"), "")
            kind = tuple[str, ...] if name in iterable else hint
            found[name] = (bind(Option(text), name, kind, parameter.default),)
    return found


def _helped(option: Option, help: Mapping[str, str]) -> Option:
    """The option with the help text that this verb has of its own."""
    return dataclasses.replace(option, help=help[option.flag]) if option.flag in help else option


def _argument(option: Option, positional: bool) -> Argument:
    kind = list if option.repeatable else bool if option.kind is bool else str
    argument = Argument(name=option.flag, kind=kind, help=option.help, positional=positional)
    argument.default = {list: [], bool: False}.get(kind)
    if option.key != option.flag:
        argument.attr_name = option.key
    return argument


def _guarded(body: Callable[..., None], parameters: Parameters) -> Callable[..., None]:
    """The body, called with values; what it raises becomes a message and an exit code."""

    @functools.wraps(body)
    def run(c: Any, **given: Any) -> None:
        try:
            _have_streams()
            _refuse_open_end(
                (o.flag for options in parameters.values() for o in options if o.repeatable), sys.argv
            )
            body(c, **_values(body, parameters, given, c.config.slipway if c else {}))
        except SlipwayError as error:
            raise Exit(str(error), code=error.code) from error
        except Exit:
            raise
        except BrokenPipeError:
            no_reader()
        except Exception as error:
            if os.environ.get("SLIPWAY_DEBUG"):
                raise
            raise Exit(_unexpected(error), code=1) from error
        except KeyboardInterrupt:
            raise Exit("interrupted", code=130) from None

    return run


def _values(
    body: Callable[..., None], parameters: Parameters, given: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the body is called with: flags count first, then settings, then defaults. Raises Refused."""
    options = [option for group in parameters.values() for option in group]
    values = resolve(options, given, settings)
    hints = get_type_hints(body)
    return {
        name: hints[name](**{option.name: values[option.key] for option in group})
        if is_dataclass(hints.get(name))
        else values[group[0].key]
        for name, group in parameters.items()
    }


def resolve(
    options: Iterable[Option], given: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The value of every option, by its key. Raises Refused for a value that it does not accept."""
    options = tuple(options)
    overridden = {name for o in options if given.get(o.key) not in NOTHING for name in o.overrides}
    return {
        option.key: _value(option, given, {} if option.key in overridden else settings) for option in options
    }


def _value(option: Option, given: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    if (text := given.get(option.key)) not in NOTHING:
        return option.value(text)
    if option.setting and (text := settings.get(option.key)) not in ("", None):
        return option.value(text, f"setting {option.key}")
    return option.default


def no_reader() -> None:
    """Whoever read stdout has what it wanted (`invoke plan | head`): say no more there, nor that nobody reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _have_streams() -> None:
    """Something to print to, also for who closed stdout or stderr, and for names that their encoding lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 -- for as long as the process lives
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _unexpected(error: Exception) -> str:
    """What nobody foresaw is one message too; the place it came from is for who asks."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "df -h; TMPDIR=FOLDER names another place for what is temporary"
        return str(SlipwayError("no space left on the disk", why=str(error.filename or error), fix=fix))
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # Path.expanduser
        fix = "set HOME; or set HF_HOME and XDG_CACHE_HOME, and give --cache, as folders without ~"
        return str(SlipwayError("a home directory is not known", why=str(error), fix=fix))
    what = f"unexpected: {type(error).__name__}: {error}".splitlines()[0][:300]
    return str(SlipwayError(what, fix="SLIPWAY_DEBUG=1 shows where it came from; please report it"))


def _refuse_open_end(repeated: Iterable[str], argv: Sequence[str]) -> None:
    """A repeated option without its value, at the end of the line: invoke takes it for nothing said."""
    flags = [f"--{name}" for name in repeated]
    if argv and argv[-1] in flags:
        raise Refused(
            f"{argv[-1]}: a value is missing", fix=f"write {argv[-1]} and its value, or leave it out"
        )


# Settings of the verbs that read them by `setting()`.
SETTINGS = (
    *("backend", "build_proxy", "cache", "cache_from", "cache_to"),
    *("lock", "model", "name", "platform", "results", "revision", "streams", "wheels"),
)


def setting(c: Any, name: str, given: Any) -> Any:
    """A flag's value, else `slipway.<name>` of invoke.yaml or INVOKE_SLIPWAY_<NAME>, else what was given."""
    return given if given not in ("", None, False, 0) else c.config.slipway.get(name) or given


def one_of(kind: str, given: str, known: tuple[str, ...]) -> str:
    """The value, or a refusal that lists the known ones."""
    if given not in known:
        raise choice(kind, given, known)
    return given


def pairs(flag: str, given: list[str]) -> tuple[tuple[str, str], ...]:
    """`K=V` words of a repeated flag as pairs; a word without `=` is refused."""
    for word in given:
        if "=" not in word or word.startswith("="):
            raise Refused(f"{flag} {word}: a value is missing", fix=f"write {flag} NAME=VALUE")
    return tuple((w.split("=", 1)[0], w.split("=", 1)[1]) for w in given)


def whole_number(name: str, given: Any) -> int:
    """A setting as a number from 0 on; the environment and invoke.yaml may hold words."""
    try:
        number = int(given)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise Refused(f"{name} {given}: a whole number is wanted, 0 or more")
    return number
