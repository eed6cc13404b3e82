"""What invoke's own parser refuses ends as our refusals do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from invoke import Collection, Program, task
from invoke.exceptions import Exit

from commands.parser_errors import check_settings, teach


@task(auto_shortflags=False)
def sail(c, where, sails=3, flag=""):
    """Go somewhere."""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sail north --flug x", "unknown option '--flug'. Did you mean `--flag`?"),
        ("sail north --flag a --flag b", "sail: 'b' is one word too many"),
        ("sail north --flag", "--flag: a value is missing"),
        ("sail north --sails many", "a number is wanted: invalid literal for int() with base 10: 'many'"),
        ("sail", "sail: 'where' is missing"),
        ("sial", "unknown command 'sial'. Did you mean `sail`?"),
        ("--wrong", "unknown option '--wrong'"),
    ],
)
def test_words_that_nobody_knows_are_refused_with_status_2(words, said, capsys):
    program = Program(namespace=Collection(sail))
    teach(program)
    with pytest.raises(SystemExit) as end:
        program.run(f"invoke {words}")
    assert end.value.code == 2
    assert f"error: {said}" in capsys.readouterr().err


def test_help_behind_a_verb_is_help_and_never_the_word_it_lacks(capsys):
    program = Program(namespace=Collection(sail))
    teach(program)
    with pytest.raises(SystemExit) as end:
        program.run("invoke sail --help")
    assert end.value.code == 0
    assert "Go somewhere." in capsys.readouterr().out


@pytest.mark.parametrize("words", ["--help run", "run --help", "--list"])
def test_a_reader_of_help_may_leave_early_and_no_verb_begins(words):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "invoke", *words.split()]
    process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("text", ["slipway: [", "slipway: 5", "slipway:", "- a", "run: 5", "a: b: c"])
def test_settings_that_invoke_would_trip_over_are_refused(text, tmp_path):
    (tmp_path / "invoke.yaml").write_text(text)
    with pytest.raises(Exit, match=r"error: invoke\.yaml") as end:
        check_settings(tmp_path / "invoke.yaml")
    assert end.value.code == 2


@pytest.mark.parametrize("text", ["", "slipway:\n  port: 8001\n", "other: 1\n"])
def test_settings_that_can_be_read_are(text, tmp_path):
    (tmp_path / "invoke.yaml").write_text(text)
    check_settings(tmp_path / "invoke.yaml")
    check_settings(tmp_path / "none.yaml")
