"""Parse the command lines of docs and workflows: options against the commands, make targets against the Makefile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from invoke.exceptions import Exit

from commands.slipway_program import SlipwayProgram
from commands.task import resolve
from commands.verb_program import VerbProgram
from errors import SlipwayError
from tasks import ns
from tests.conftest import ROOT

# Programs that docs and workflows start and that these tests do not know more about.
OTHERS = re.findall(
    r"\S+",
    """apt-get cd chmod cosign curl docker echo exit export gh git grep hf install kubectl openssl pip pipx podman
    pre-commit rm scp skopeo source sudo systemctl tar uv vllm""",
)


@dataclass(frozen=True)
class Line:
    """A command line of a document, with the place where it stands."""

    path: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.number}: {self.text}"


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the commands of the `sh` and `console` blocks of a Markdown file, continued lines joined."""
    language, pending, start = "", "", 0
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        text = raw.strip()
        if text.startswith("```"):
            language = "" if language else text.removeprefix("```").split(" ")[0] or "text"
        elif language in ("sh", "console"):
            command = text.removeprefix("$ ") if pending or language == "sh" or text.startswith("$ ") else ""
            start = start if pending else number
            pending += command.removesuffix("\\")
            if not command.endswith("\\"):
                if pending and not pending.startswith("#"):
                    yield Line(path, start, pending)
                pending = ""


def simple_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line, without its environment, redirections and comment."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.commenters, lexer.whitespace_split = "", True
    words: list[str] = []
    skip = False
    for word in [*_without_comment(lexer), ";"]:
        if re.fullmatch(r"[;&|]+", word):
            if words:
                yield words
            words = []
        elif re.fullmatch(r"[<>]+&?", word):
            skip = True
        elif skip:
            skip = False
        elif words or not re.fullmatch(r"[A-Za-z_]\w*=.*", word):
            words.append(word)


def _without_comment(words: Iterator[str]) -> Iterator[str]:
    for word in words:
        if word.startswith("#"):
            return
        yield word


def check_command_line(text: str) -> None:
    """Raise AssertionError if a line uses an unknown program, command, option or make target."""
    for words in simple_commands(text):
        name = Path(words[0]).name
        if name in ("invoke", "slipway"):
            check_slipway(name, words[1:])
        elif name == "make":
            check_make(words[1:])
        elif name in ("pytest", "python"):
            check_python(words[1:])
        else:
            assert name in OTHERS, f"'{name}' is not a program that the docs may use: {text}"


def check_slipway(name: str, words: list[str]) -> None:
    """Parse the words as `slipway` or `invoke` does, and check the values of the options."""
    kind = SlipwayProgram if name == "slipway" else partial(VerbProgram, name="invoke", binary="invoke")
    program = kind(namespace=ns)
    program.create_config()
    program.normalize_argv([name, *words])
    try:
        program.parse_core_args()
        program.parse_collection()
        program.parse_tasks()
        for context in program.tasks:
            resolve(ns.tasks[context.name].options, context.as_kwargs, {})
    except (Exit, SlipwayError) as error:
        raise AssertionError(f"{name} {shlex.join(words)}: {error}") from error


def check_make(words: list[str]) -> None:
    """Check that each target is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        assert "=" in word or re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE), (
            f"make {word}: no such target"
        )


def check_python(words: list[str]) -> None:
    """Check that the module after -m and each path below tests/, scripts/ or examples/ exist."""
    module = words[words.index("-m") + 1] if "-m" in words else "pytest"
    if module != "pytest":
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), (
            f"python -m {module}: no such module"
        )
    missing = [
        word
        for word in words
        if word.startswith(("tests/", "scripts/", "examples/")) and not (ROOT / word).exists()
    ]
    assert not missing, f"no such path: {missing}"
