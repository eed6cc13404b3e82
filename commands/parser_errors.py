"""invoke's own refusals (an unknown option, a value too many, a broken invoke.yaml) end as ours do: in one clear
line and with status 2, where invoke would end with 1 or with a traceback. `--help` behind a verb is always help.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from commands.arguments import renamed
from commands.output import say
from commands.task import no_reader
from errors import Refused, choice
from launch.data_file import parse_yaml


def teach(program: Program) -> None:
    """Let this program refuse so. It reads tasks.py before the words that name verbs and their options."""
    parse = program.parse_tasks

    def parse_tasks() -> None:
        program.core.unparsed = renamed(program.core.unparsed, say)
        try:
            parse()
        except ParseError as error:
            raise _exit(in_our_words(error, tuple(program.parser.contexts))) from None
        except ValueError as error:  # an option that is a number for invoke
            raise _exit(Refused(f"a number is wanted: {error}")) from None
        for context in program.tasks:
            # For invoke it is the word that the verb still lacks.
            if any(arg.positional and arg.value == "--help" for arg in context.args.values()):
                program.print_task_help(str(context.name))
                raise Exit

    help_or_list = program.parse_cleanup

    def parse_cleanup() -> None:
        try:
            help_or_list()
        except BrokenPipeError:  # no further: what was asked for is help, and not the verb
            no_reader()
            raise Exit from None

    program.parse_tasks = parse_tasks  # type: ignore[method-assign]
    program.parse_cleanup = parse_cleanup  # type: ignore[method-assign]


def in_our_words(error: ParseError, verbs: tuple[str, ...]) -> Refused:
    """The refusal that invoke's parser stands for."""
    said, verb = str(error), getattr(error.context, "name", None) or ""
    help_ = f"invoke --help {verb}" if verb else "invoke --list"
    if found := re.fullmatch(r"No idea what '(.*)' is!", said):
        return _unknown(found[1], verb, error.context, verbs)
    if found := re.match(r"Flag <Argument: ([\w-]+)", said):
        return Refused(f"--{found[1]}: a value is missing", fix=help_)
    if found := re.search(r"required positional arguments: (.*)", said):
        return Refused(f"{verb}: {found[1]} is missing", fix=help_)
    return Refused(said, fix=help_)


def _unknown(word: str, verb: str, context: Any, verbs: tuple[str, ...]) -> Refused:
    if word.startswith("--"):
        return choice("option", word, tuple(context.flags)) if verb else Refused(f"unknown option '{word}'")
    if not verb:
        return choice("command", word, verbs)
    why = "an option that takes one value is given once, and a command takes only the words its help names"
    return Refused(f"{verb}: '{word}' is one word too many", why=why, fix=f"invoke --help {verb}")


def check_settings(path: Path) -> None:
    """An invoke.yaml is something that invoke can read. Raises Exit: it is read before any verb begins."""
    import yaml

    try:
        said = parse_yaml(path.read_text()) if path.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _exit(Refused(f"{path.name} cannot be read", why=str(error))) from None
    if found := _wrong(said):
        raise _exit(Refused(f"{path.name}: {found}", fix="README.md shows one"))


def _wrong(said: Any) -> str:
    if said is not None and not isinstance(said, Mapping):
        return "names and values are wanted"
    for name in ("slipway", "run", "tasks"):
        if said and name in said and not isinstance(said[name], Mapping):
            return f"names and values are wanted below '{name}:'"
    return ""


def _exit(refused: Refused) -> Exit:
    return Exit(str(refused), code=refused.code)
