"""Command lines that are wrong: one clear message and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import pytest
from invoke.collection import Collection
from invoke.context import Context

from commands.shared_options import DryRun, Format
from commands.task import verb
from commands.verb_program import VerbProgram
from launch.spec.option import Option
from tests.invocation import invoke

Flag = Annotated[str, Option("a value", metavar="VALUE")]


@verb()
def sail(
    c: Context,
    ship: Annotated[str, Option("name of the ship", positional=True)] = "Argo",
    where: Annotated[str, Option("destination", metavar="PLACE", positional=True, required=True)] = "",
    sails: Annotated[int, Option("number of sails", short="p")] = 3,
    wind: Annotated[tuple[str, ...], Option("winds to wait for", short="w", invoke=True)] = (),
    flag: Flag = "",
    rig: Annotated[str, Option("rig", choices=("gaff", "lug"))] = "lug",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Go somewhere."""
    print(ship, where, sails, wind, flag, rig, dry_run, format)


@verb()
def race(
    c: Context,
    course: Annotated[str, Option("course", positional=True)] = "",
    ships: Annotated[tuple[str, ...], Option("ships", metavar="SHIPS...", positional=True)] = (),
) -> None:
    """Race some ships."""
    print(course, ships)


@verb()
def moor(c: Context) -> None:
    """Stop."""
    print("moored")


class OneVerb(VerbProgram):
    """A program with one verb a command line, like `slipway`."""

    chained = False


def run(line: str, kind: type[VerbProgram] = VerbProgram) -> int:
    with pytest.raises(SystemExit) as end:
        kind(namespace=Collection(sail, race, moor)).run(["invoke", *line.split()])
        raise SystemExit(0)
    return int(str(end.value.code))


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("sail north", "Argo north 3 () None"),
        ("sail Beagle north", "Beagle north"),
        ("sail --where north Beagle", "Beagle north"),
        ("sail north --ship Beagle", "Beagle north"),
        ("sail --sails 2 north", "Argo north 2"),
        ("sail --sails=2 north", "Argo north 2"),
        ("sail north --wind n -w e", "('n', 'e')"),
        ("sail north --flag --x", "--x"),
        ("sail north --flag=--sails", "--sails lug"),
        ("sail north --dry-run", "True"),
        ("sail -- -5", "Argo -5"),
        ("sail - ", "Argo -"),
        ("sail Beagle -- go far", "Beagle go far"),
        ("race", "()"),
        ("race round Beagle Argo", "round ('Beagle', 'Argo')"),
        ("race round --ships Beagle --ships Argo", "round ('Beagle', 'Argo')"),
    ],
)
def test_words_of_a_verb_become_values(line: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 0
    assert printed.replace("None", "") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sail north --flug x", "unknown option '--flug'. Did you mean `--flag`?"),
        ("sail north --flag a --flag b", "--flag is given twice"),
        ("sail north --flag", "--flag needs a value"),
        ("sail north --flag --sails 3", "--flag needs a value"),
        ("sail north --wind", "--wind needs a value"),
        ("sail north --dry-run=yes", "--dry-run takes no value"),
        ("sail north --sails many", "--sails must be a non-negative integer (got 'many')"),
        ("sail north --rig junk", "unknown --rig value 'junk'\n  next: choose from gaff, lug"),
        ("sail", "sail needs PLACE\n  next: invoke sail --help"),
        ("sail a b c", "unexpected argument 'c'"),
        ("sail a b gaff", "unexpected argument 'gaff'. Did you mean `--rig gaff`?"),
        ("sial", "unknown command 'sial'. Did you mean `sail`?"),
        ("list", "unknown command 'list'\n  next: `invoke ps` lists servers"),
        ("--wrong", "unknown option '--wrong'"),
        ("help sial", "unknown command 'sial'. Did you mean `sail`?"),
        ("--help sial", "unknown command 'sial'. Did you mean `sail`?"),
    ],
)
def test_wrong_words_are_refused_with_exit_code_2(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line) == 2
    assert f"error: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meaning"), [("-p", "--pty"), ("-d", "--debug"), ("-e", "--echo"), ("-f", "--config")]
)
def test_short_options_of_invoke_are_refused_after_a_verb(
    word: str, meaning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"sail north {word} 2") == 2
    assert f"`{word}` after a command is an option of invoke: {meaning}" in capsys.readouterr().err


def test_slipway_gives_short_options_to_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sail north -p 2", OneVerb) == 0
    assert run("sail north -p2", OneVerb) == 0
    assert capsys.readouterr().out.count("Argo north 2") == 2


def test_invoke_runs_several_verbs_and_slipway_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sail north moor") == 0
    assert "moored" in capsys.readouterr().out
    assert run("sail Beagle moor", OneVerb) == 0
    assert "Beagle moor" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["sail --help", "sail -h", "sail north --sails x --help", "--help sail", "help sail"]
)
def test_help_wins_over_everything_else(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 0
    assert "Go somewhere." in capsys.readouterr().out


@pytest.mark.parametrize("line", ["", "help"])
def test_a_command_line_without_a_verb_lists_them(line: str) -> None:
    found = invoke(*line.split()).ok()
    assert "Servers:\n  ps " in found.out
    assert "  plan " in found.out


def test_options_of_invoke_itself_are_accepted_after_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sail north --dry") == 0
    assert "True" in capsys.readouterr().out


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help run", "run --help", "--list", "plan --hardware h200", "recipes"])
def test_a_closed_pipe_ends_a_command_without_a_message(words: str, unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "invoke", *words.split()]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=env)
    os.close(write)
    assert (process.returncode, process.stderr) == (0, "")
