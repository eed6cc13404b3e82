"""The decorator behind every verb: options become values, errors become one clear message and an exit code."""

from __future__ import annotations

import copy
import dataclasses
import errno
import functools
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, get_origin, get_type_hints

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from commands import settings
from commands.output import discard_output, end_output, log_to_stderr, refusal
from commands.program_name import named
from commands.shared_options import QUIET, VERBOSE
from errors import SlipwayError
from launch.checked_data.cache_folder import CacheFolder
from launch.checked_data.kept_file import STORE
from launch.spec.option import Option, bind, options_of

Body = Callable[..., None]
Parameters = dict[str, tuple[Option, ...]]
COMMON = (bind(VERBOSE, "verbose", bool, False), bind(QUIET, "quiet", bool, False))
NOT_GIVEN: tuple[Any, ...] = ("", None, False, [])


class Verb(Task[Any]):
    """An invoke task whose arguments are the options that its parameters describe.

    A parameter is `name: Annotated[type, Option(...)] = default`. A parameter whose type is a dataclass stands for
    the options that its fields describe (`launch/spec/plan_options.py`). They are read when they are needed, because
    a command line has one verb or two of all.
    """

    def __init__(self, body: Body, help: Mapping[str, str]) -> None:
        self._described, self._help = body, help
        super().__init__(_guarded(body, lambda: self.parameters), positional=())

    @cached_property
    def parameters(self) -> Parameters:
        """Return the options of each parameter."""
        return _parameters(self._described, self._help)

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Return all options, with those of every verb."""
        return (*(option for group in self.parameters.values() for option in group), *COMMON)

    def __deepcopy__(self, memo: dict[int, Any]) -> Verb:
        """Return a shallow copy: options are frozen. invoke copies each verb twice, which took 40 ms at each start."""
        return copy.copy(self)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options as invoke's parser needs them."""
        return [_argument(option) for option in self.options]

    def option(self, flag: str) -> Option | None:
        """Return the option of a long or short flag."""
        return next(
            (o for o in self.options if flag == f"--{o.flag}" or (o.short and flag == f"-{o.short}")), None
        )


def verb(help: Mapping[str, str] | None = None) -> Callable[[Body], Verb]:
    """Make a function an invoke task whose SlipwayErrors end as `Exit(message, code)`.

    `help` replaces help texts, by flag, of options that a dataclass describes.
    """
    return lambda body: Verb(body, help or {})


def _parameters(body: Body, help: Mapping[str, str]) -> Parameters:
    """Return the options of each parameter after the first, which is invoke's context."""
    hints = get_type_hints(body, include_extras=True)
    found: Parameters = {}
    for name, parameter in list(inspect.signature(body).parameters.items())[1:]:
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            options = options_of(hint)
            found[name] = tuple(dataclasses.replace(o, help=help.get(o.flag, o.help)) for o in options)
        elif get_origin(hint) is Annotated:
            found[name] = (bind(hint.__metadata__[0], name, hint.__origin__, parameter.default),)
        else:
            raise TypeError(f"{body.__name__}: parameter {name} describes no option")
    return found


def _argument(option: Option) -> Argument:
    kind = list if option.repeatable else bool if option.kind is bool else str
    argument = Argument(name=option.flag, kind=kind, help=option.help)
    argument.default = [] if kind is list else None
    if option.key != option.flag:
        argument.attr_name = option.key
    return argument


def _guarded(body: Body, parameters: Callable[[], Parameters]) -> Body:
    """Wrap a body: call it with values, and turn what it raises into a message and an exit code."""

    @functools.wraps(body)
    def run(c: Context, verbose: bool = False, quiet: bool = False, **given: Any) -> None:
        try:
            _have_streams()
            log_to_stderr(verbose, quiet)
            STORE.set(CacheFolder("checked"))
            body(c, **_values(body, parameters(), given, c))
            sys.stdout.flush()  # a full disk is noticed here and not at the end of the process
        except SlipwayError as error:
            raise refusal(error) from error
        except Exit:
            raise
        except BrokenPipeError:
            discard_output(sys.stdout)
        except Exception as error:
            if os.environ.get("SLIPWAY_DEBUG"):
                raise
            raise Exit(named(_unexpected(error)), code=1) from error
        except KeyboardInterrupt:
            raise Exit("interrupted", code=130) from None
        finally:
            end_output(sys.stdout)

    return run


def _values(body: Body, parameters: Parameters, given: Mapping[str, Any], c: Context) -> dict[str, Any]:
    """Return the arguments of the body. Raises Refused for a value that an option does not accept."""
    options = [option for group in parameters.values() for option in group]
    values = resolve(options, given, _settings(c, options))
    if "dry_run" in values:
        values["dry_run"] |= bool(c.config.run.dry)  # `invoke --dry VERB`
    hints = get_type_hints(body)
    return {
        name: hints[name](**{option.name: values[option.key] for option in group})
        if dataclasses.is_dataclass(hints[name])
        else values[group[0].key]
        for name, group in parameters.items()
    }


def _settings(c: Context, options: Iterable[Option]) -> dict[str, Any]:
    """Return the settings of the configuration file and the environment."""
    names = [option.key for option in options if option.setting]
    found: Mapping[str, Any] = c.config.get("slipway") or {}
    return {**found, **settings.read_environment(os.environ, names)} if names else {}


def resolve(
    options: Iterable[Option], given: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the value of every option by its key: as given, else from the settings, else the default.

    Raises Refused for a value that an option does not accept.
    """
    options = tuple(options)
    overridden = {name for o in options if given.get(o.key) not in NOT_GIVEN for name in o.overrides}
    return {o.key: _value(o, given.get(o.key), {} if o.key in overridden else settings) for o in options}


def _value(option: Option, given: Any, settings: Mapping[str, Any]) -> Any:
    if given not in NOT_GIVEN:
        return option.value(given)
    if option.setting and (text := settings.get(option.key)) not in ("", None):
        return option.value(text, f"setting {option.key}")
    return option.default


def _have_streams() -> None:
    """Open streams in place of closed ones, and escape characters that their encoding lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 -- for as long as the process lives
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _unexpected(error: Exception) -> str:
    """Format an unexpected exception as a single message; SLIPWAY_DEBUG=1 shows the traceback."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some space (df -h), or set TMPDIR to another folder for temporary files"
        return str(SlipwayError("no space left on the disk", why=str(error.filename or error), fix=fix))
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # Path.expanduser
        fix = "export HOME=FOLDER, and write the folders of other variables and options without ~"
        return str(SlipwayError("the home directory is unknown", why=str(error), fix=fix))
    what = f"unexpected: {type(error).__name__}: {error}".splitlines()[0][:300]
    return str(SlipwayError(what, fix="set SLIPWAY_DEBUG=1 to see the traceback, and report it"))
