"""What `invoke` in a clone and `slipway` have in common: parsing, help, and refusals with exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import AmbiguousEnvVar, Exit, ParseError, UncastableEnvVar
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from invoke.program import Program

from commands import help as help_texts
from commands import settings
from commands.argument_parser import VerbParser
from commands.output import discard_output, refusal, show
from commands.parser_errors import Misuse, unknown_command
from commands.program_name import program
from errors import Refused


class VerbProgram(Program):
    """invoke's program with Slipway's parser, help and messages."""

    chained = True  # several verbs in one command line
    collection: Collection

    def _make_parser(self) -> Parser:
        """Return a parser of the verbs that are typed; if there is none, of all."""
        verbs = self.collection.tasks
        typed = {*self.core.unparsed, self.args.help.value}
        named = [name for name in verbs if name in typed] or list(verbs)
        contexts = (ParserContext(name, args=verbs[name].get_arguments()) for name in named)
        return VerbParser(verbs, contexts, self.initial_context, self.chained)

    def parse_tasks(self) -> None:
        """Read the verbs. Raises Exit with one message for words that are wrong."""
        words = self.core.unparsed
        if "--" in self.argv and not self.args.complete.value:  # invoke keeps what follows apart
            self.core.unparsed = words = [*words, *self.argv[self.argv.index("--") :]]
        if words[:1] == ["help"]:
            self.core.unparsed = [*words[1:2], "--help"] if words[1:] else []
        try:
            super().parse_tasks()
        except ParseError as error:
            raise _exit(error) from None

    def parse_cleanup(self) -> None:
        """Print help or lists, if asked to."""
        try:
            try:
                super().parse_cleanup()
            finally:
                if sys.stdout:  # None if the caller closed it
                    sys.stdout.flush()  # a closed pipe is noticed here and not at the end of the process
        except BrokenPipeError:
            discard_output(sys.stdout)
            raise Exit from None
        except ParseError:
            raise _exit(unknown_command(str(self.args.help.value), self.collection.tasks)) from None

    def _print(self, text: str) -> None:
        show(text)
        sys.stdout.flush()

    def no_tasks_given(self) -> None:
        """List the verbs in groups."""
        self._print(help_texts.overview(self.collection.tasks))
        raise Exit

    def print_task_help(self, name: str) -> None:
        """Print the help of one verb."""
        self._print(help_texts.verb_help(self.collection.tasks[name]))

    def execute(self) -> None:
        """Run the verbs. Raises Exit for an environment variable that invoke cannot read."""
        try:
            super().execute()
        except (AmbiguousEnvVar, UncastableEnvVar, ValueError) as error:
            raise refusal(
                Refused("an INVOKE_ variable of the environment is not valid", why=str(error))
            ) from None


def _exit(error: ParseError) -> Exit:
    refused = error.refused if isinstance(error, Misuse) else Refused(str(error), fix="invoke --help")
    return refusal(refused)


def teach(loader: Program) -> None:
    """Give invoke's own program, which is loading tasks.py, the parser, help and messages of VerbProgram."""
    loader.__class__ = VerbProgram


def settings_of(collection: Collection) -> list[str]:
    """Return the names of all settings."""
    options: Any = (option for verb in collection.tasks.values() for option in verb.options)
    return sorted({option.key for option in options if option.setting})


def check_settings(path: Path, collection: Collection) -> None:
    """Refuse a wrong invoke.yaml before invoke reads it, which would end with a traceback. Raises Exit."""
    try:
        if program() == "invoke" and path.is_file():
            settings.read_file(path, settings_of(collection))
    except Refused as error:
        raise refusal(error) from None
