"""The decorator behind every verb: errors become one clear message and an exit code, never a traceback."""

from __future__ import annotations

import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from invoke.exceptions import Exit
from invoke.tasks import task

from errors import Refused, SlipwayError, choice


def verb(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """An invoke task without automatic short flags, whose SlipwayErrors end as `Exit(message, code)`."""

    def wrap(body: Callable[..., None]) -> Any:
        @functools.wraps(body)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                _have_streams()
                _refuse_open_end(options.get("iterable", ()), sys.argv)
                body(*args, **kwargs)
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

        return task(auto_shortflags=False, **options)(run)

    return wrap


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
    flags = [f"--{name.strip('_').replace('_', '-')}" for name in repeated]
    if argv and argv[-1] in flags:
        raise Refused(
            f"{argv[-1]}: a value is missing", fix=f"write {argv[-1]} and its value, or leave it out"
        )


# What invoke.yaml and INVOKE_SLIPWAY_<NAME> may say; the environment counts for names that stand here.
SETTINGS = (
    *("access", "backend", "build_proxy", "cache", "cache_from", "cache_to", "cdi"),
    *("gpus", "hardware", "image", "listen", "lock", "model", "name"),
    *("platform", "port", "recipes", "results", "revision", "streams", "vllm", "wheels"),
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
