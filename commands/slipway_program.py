"""The program behind `slipway`: its own options, its configuration file, one verb a command line."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.config import Config
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument

from commands import settings
from commands.help import overview
from commands.output import refusal, show
from commands.verb_program import VerbProgram, settings_of
from errors import Refused, SlipwayError

SHORT = ("h", "V")
OPTIONS = """
Options:
  -h, --help                            show this list
  -V, --version                         show the version
  --config PATH                         read this file instead of ./slipway.yaml
  --print-completion-script {bash,zsh,fish}
                                        print a script that completes commands and options"""


class SlipwayProgram(VerbProgram):
    """invoke's program without what only `invoke` needs: short options of its own, chained verbs, its files."""

    chained = False

    def __init__(self, namespace: Collection) -> None:
        super().__init__(namespace=namespace, name="slipway", binary="slipway", binary_names=["slipway"])

    def core_args(self) -> list[Argument]:
        """Return invoke's options. Of the one-letter forms only -h and -V stay; the others belong to the verbs."""
        found = super().core_args()
        for argument in found:
            argument.names = tuple(name for name in argument.names if len(name) > 1 or name in SHORT)
            if argument.name == "write-pyc":  # else an installed Slipway is compiled at every start
                argument.default = True
        return found

    def create_config(self) -> None:
        """Create a configuration without the files of invoke, which belong to other projects."""
        self.config = Config(lazy=True)
        self.config.merge()

    def update_config(self, merge: bool = True) -> None:
        """Read the settings of the file, then those of the environment. Raises Exit for a file that is not valid."""
        names = settings_of(self.collection)
        path = self.args.config.value
        try:
            found: dict[str, Any] = (
                settings.read_file(Path(path), names) if path else settings.read_folder(Path(), names)
            )
        except SlipwayError as error:
            raise refusal(error) from None
        found |= settings.read_environment(os.environ, names)
        self.config.load_overrides({"slipway": found, "run": {"dry": bool(self.args.dry.value)}}, merge=merge)

    def parse_core_args(self) -> None:
        """Read the program's own options. Raises Exit if one is not valid."""
        try:
            super().parse_core_args()
        except ParseError as error:
            flag = re.search(r"Argument: ([\w-]+)", str(error))
            what = f"--{flag[1]} needs a value" if flag else str(error)
            raise refusal(Refused(what, fix="invoke --help")) from None
        except ValueError as error:
            raise refusal(Refused(self._not_an_integer(str(error)), fix="invoke --help")) from None

    def _not_an_integer(self, error: str) -> str:
        """Return the message for Python's error about the value of an option of the program."""
        value = error.partition(": ")[2].strip("'")
        flags = [word for word, after in pairwise(self.argv) if after == value and word.startswith("-")]
        flags += [word.partition("=")[0] for word in self.argv if word.endswith(f"={value}")]
        return f"{flags[0] if flags else 'the option'} must be an integer (got '{value}')"

    def print_help(self) -> None:
        """List the verbs and the program's own options."""
        show(overview(self.collection.tasks) + "\n" + OPTIONS)

    no_tasks_given = print_help

    def print_version(self) -> None:
        """Print `slipway 1.2.3`."""
        try:
            print(f"slipway {version('slipway')}")
        except PackageNotFoundError:  # run from a clone
            print("slipway (not installed)")
