"""What is wrong with a command line, as one clear message with exit code 2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from errors import Refused, choice

if TYPE_CHECKING:
    from launch.spec.option import Option

# Words that users of other tools type: what to run instead.
ELSEWHERE = {
    "list": "`invoke ps` lists servers, `invoke models` lists models, `invoke --list` lists commands",
    "ls": "`invoke ps` lists servers, `invoke models` lists models, `invoke images` lists images",
    "rm": "`invoke stop NAME` removes a server, `invoke models --remove MODEL` removes a model",
    "pull": "`invoke fetch MODEL` downloads a model",
    "download": "`invoke fetch MODEL` downloads a model",
    "serve": "`invoke run MODEL` starts a server",
    "start": "`invoke run MODEL` starts a server",
    "push": "`invoke publish` publishes an image",
    "benchmark": "`invoke bench` measures a server",
}


class Misuse(ParseError):
    """A command line that is not valid."""

    def __init__(self, refused: Refused, context: ParserContext | None = None) -> None:
        super().__init__(str(refused), context)
        self.refused = refused


def unknown_command(word: str, verbs: Iterable[str], flags: Iterable[str] = ()) -> Misuse:
    """Refuse a first word that is neither a verb nor an option of the program."""
    if word.startswith("-"):
        return Misuse(Refused(choice("option", word, tuple(flags)).what, fix="invoke --help"))
    what = choice("command", word, tuple(verbs)).what
    return Misuse(Refused(what, fix=ELSEWHERE.get(word, "invoke --list")))


def unknown_option(flag: str, context: ParserContext) -> Misuse:
    """Refuse an option that the verb does not have."""
    return Misuse(Refused(choice("option", flag, tuple(context.flags)).what, fix=_help(context)), context)


def short_of_invoke(flag: str, option: Option | None, context: ParserContext, core: Argument) -> Misuse:
    """Refuse a one-letter option that invoke would read as its own."""
    what = f"`{flag}` after a command is an option of invoke: --{core.names[0]}"
    fix = f"write --{option.flag}, or run `slipway {context.name} {flag}`" if option else _help(context)
    return Misuse(Refused(what, fix=fix), context)


def no_value(flag: str, context: ParserContext) -> Misuse:
    """Refuse an option without its value."""
    return Misuse(Refused(f"{flag} needs a value", fix=_help(context)), context)


def takes_no_value(flag: str, context: ParserContext) -> Misuse:
    """Refuse a value for an option that takes none."""
    return Misuse(Refused(f"{flag} takes no value", fix=_help(context)), context)


def given_twice(flag: str, context: ParserContext) -> Misuse:
    """Refuse a second value for an option that takes one."""
    return Misuse(Refused(f"{flag} is given twice", why="it has one value", fix=_help(context)), context)


def missing_argument(option: Option, context: ParserContext) -> Misuse:
    """Refuse a verb without its argument."""
    return Misuse(Refused(f"{context.name} needs {option.placeholder}", fix=_help(context)), context)


def unexpected_argument(word: str, options: Iterable[Option], context: ParserContext) -> Misuse:
    """Refuse an additional argument; suggest the option that the user may mean."""
    meant = [o for o in options if word in o.choices or (o.flag == "model" and "/" in word)]
    hint = f". Did you mean `--{meant[0].flag} {word}`?" if meant else ""
    return Misuse(Refused(f"unexpected argument '{word}'{hint}", fix=_help(context)), context)


def _help(context: ParserContext) -> str:
    return f"invoke {context.name} --help"
