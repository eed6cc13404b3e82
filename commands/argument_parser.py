"""Read the words after a verb: options with their values, and arguments."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser, ParseResult

from commands import parser_errors
from commands.output import log_to_stderr, say

if TYPE_CHECKING:
    from commands.task import Verb
    from launch.spec.option import Option

# Old spelling: present spelling, of options and of a value of an option.
RENAMED = {"--cure": "--workaround", "--contract": "--capabilities", "--patience": "--phase-timeout"}
RENAMED_VALUES = {("--format", "table"): "text"}
HELP = ("-h", "--help")
# The one-letter options of invoke that it also takes after a verb. All others are refused there, because a user of
# `docker run -d -p 80` means something else.
KEPT_SHORT = ("-R",)


class VerbParser(Parser):
    """A parser of verbs with options that may also be arguments, with one-letter forms and with old names.

    `chained`: a verb may follow a verb, as in `invoke build run`.
    """

    def __init__(
        self,
        verbs: Mapping[str, Verb],
        contexts: Iterable[ParserContext],
        initial: ParserContext,
        chained: bool,
    ) -> None:
        super().__init__(contexts=contexts, initial=initial)
        self.verbs, self.chained = verbs, chained

    def parse_argv(self, argv: list[str]) -> ParseResult:
        """Return the contexts of the program and of each verb. Raises Misuse with the message for the user."""
        core = deepcopy(self.initial) or ParserContext()
        result = ParseResult([core])
        words = list(argv)
        while words:
            result.append(self._verb(words, core))
        return result

    def _verb(self, words: list[str], core: ParserContext) -> ParserContext:
        """Remove one verb with its options and arguments from `words` and return its context."""
        name = words.pop(0)
        if name not in self.contexts:
            raise parser_errors.unknown_command(name, tuple(self.verbs), tuple(core.flags))
        context: ParserContext = deepcopy(self.contexts[name])
        verb, arguments = self.verbs[name], list[str]()
        required = sum(option.required for option in verb.options)
        while words:
            word = words.pop(0)
            if word in HELP:
                core.args.help.value = name
                return context
            if word == "--":
                arguments += [words[0] if len(words) == 1 else shlex.join(words)] if words else []
                words.clear()
            elif word.startswith("-") and word != "-":
                self._option(word, words, verb, context, core)
            elif self.chained and word in self.contexts and len(arguments) >= required:
                words.insert(0, word)
                break
            else:
                arguments.append(word)
        if not core.args.help.value:
            _assign(verb, context, arguments)
        return context

    def _option(
        self, word: str, words: list[str], verb: Verb, context: ParserContext, core: ParserContext
    ) -> None:
        flag, value = _split(word)
        if verb.option(flag) is None and verb.option(new := RENAMED.get(flag, "")):
            _report_renamed(flag, new)
            flag = new
        option = verb.option(flag)
        if self._means_something_else(flag, option, core):
            raise parser_errors.short_of_invoke(flag, option, context, core.flags[flag])
        if option is None:
            if flag not in core.flags:
                raise parser_errors.unknown_option(flag, context)
            _set(core.flags[flag], flag, value, words, context)
            return
        if (
            value is None and option.kind is not bool and words and verb.option(words[0])
        ):  # `--model --gpus 4`
            raise parser_errors.no_value(flag, context)
        argument = context.flags[f"--{option.flag}"]
        if argument.got_value and not option.repeatable and option.kind is not bool:
            raise parser_errors.given_twice(f"--{option.flag}", context)
        _set(argument, flag, value, words, context)
        if new := RENAMED_VALUES.get((flag, str(argument.value)), ""):
            _report_renamed(f"{flag} {argument.value}", f"{flag} {new}")
            argument.value = new

    def _means_something_else(self, flag: str, option: Option | None, core: ParserContext) -> bool:
        """Return whether `invoke` would read this one-letter option as its own."""
        own = option is not None and option.invoke
        return self.chained and len(flag) == 2 and flag in core.flags and flag not in KEPT_SHORT and not own


def _split(word: str) -> tuple[str, str | None]:
    """Split `--flag=value` or `-fvalue` into flag and value."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, value if equals else None
    return word[:2], word[2:].removeprefix("=") or None


def _report_renamed(old: str, new: str) -> None:
    log_to_stderr()
    say(f"`{old}` is now `{new}`")


def _set(argument: Argument, flag: str, value: str | None, words: list[str], context: ParserContext) -> None:
    """Set the value of an option, from the same word or from the next one."""
    if not argument.takes_value:
        if value is not None:
            raise parser_errors.takes_no_value(flag, context)
        argument.set_value(True, cast=False)
    elif value is None and not words:
        if not argument.optional:
            raise parser_errors.no_value(flag, context)
        argument.set_value(True, cast=False)
    else:
        argument.value = words.pop(0) if value is None else value


def _assign(verb: Verb, context: ParserContext, arguments: list[str]) -> None:
    """Assign arguments to options. If there are too few, optional ones get none: those before a required one first.

    If the last option is repeatable, it takes all arguments that are left.
    """
    slots = [o for o in verb.options if o.positional and not context.flags[f"--{o.flag}"].got_value]
    last = max((index for index, option in enumerate(slots) if option.required), default=0)
    optional = [o for o in (*slots[:last], *reversed(slots[last:])) if not o.required]
    for option in optional[: max(0, len(slots) - len(arguments))]:
        slots.remove(option)
    if slots and slots[-1].repeatable:
        slots += [slots[-1]] * (len(arguments) - len(slots))
    for option, word in zip(slots, arguments, strict=False):
        context.flags[f"--{option.flag}"].value = word
    if len(arguments) > len(slots):
        raise parser_errors.unexpected_argument(arguments[len(slots)], verb.options, context)
    if missing := slots[len(arguments) :]:
        raise parser_errors.missing_argument(missing[0], context)
