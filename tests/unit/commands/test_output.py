"""What the commands print, and where."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from commands import output
from commands.program_name import GROUPS, named, program
from tests.conftest import ROOT
from tests.invocation import invoke


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Undo what a test does to the handlers and levels of the process."""
    loggers = [logging.getLogger(name) for name in ("", "commands", *output.LIBRARY)]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def test_table_aligns_columns_below_headers() -> None:
    text = output.table(("NAME", "SIZE"), [("a", 1), ("longer", 22)])
    assert text.splitlines() == ["NAME    SIZE", "a       1", "longer  22"]


def test_table_leaves_out_empty_columns() -> None:
    assert output.table(("A", "B", "C"), [(1, "", 3)]) == "A  C\n1  3"


def test_table_without_rows_is_its_header() -> None:
    assert output.table(("A", "B"), []) == "A  B"


@pytest.mark.parametrize(
    ("verbose", "quiet", "printed"),
    [
        (False, False, ["progress", "warning: careful"]),
        (True, False, ["progress", "retry 1", "warning: careful"]),
        (False, True, []),
    ],
)
def test_verbose_and_quiet_select_what_stderr_shows(
    verbose: bool, quiet: bool, printed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output.log_to_stderr(verbose, quiet)
    output.say("progress")
    logging.getLogger("launch.http.client").info("retry 1")
    logging.getLogger("launch.engine").warning("careful")
    captured = capsys.readouterr()
    assert (captured.out, captured.err.splitlines()) == ("", printed)


def test_only_one_handler_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    output.log_to_stderr()
    output.log_to_stderr()
    output.say("once")
    assert capsys.readouterr().err == "once\n"


def test_quiet_leaves_results_and_errors() -> None:
    found = invoke("recipes", "--render", "-", "--quiet").ok()
    assert found.out and not found.err
    assert "error: " in invoke("plan", "--hardware", "h300", "--quiet").err


def test_a_bar_prints_lines_if_stderr_is_not_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.log_to_stderr()
    monkeypatch.setattr(output, "EVERY", 0.0)
    with output.bar("load") as progress:
        progress.update(1, 4, "a note", {"file": (1, 4)})
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["load ...", "  load: 25% a note"]
    assert lines[2].startswith("load: done in ")


def test_a_bar_prints_at_most_one_line_in_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    output.log_to_stderr()
    with output.bar("load") as progress:
        for number in range(100):
            progress.update(number, 100)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_bar_on_a_terminal_shows_a_line_for_each_file() -> None:
    """A real terminal: a pty, whose other end reads what rich draws."""
    code = (
        "from commands.output import bar, log_to_stderr\n"
        "log_to_stderr()\n"
        "with bar('fetch a/b') as progress:\n"
        "    progress.update(1, 4, '1 of 4 GiB', {'model.safetensors': (1, 2)})\n"
        "    progress.update(2, 4, '2 of 4 GiB', {})\n"
    )
    main, other = os.openpty()
    env = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=other, stdout=other, env=env)
    os.close(other)
    shown = b""
    try:
        while part := os.read(main, 65536):
            shown += part
    except OSError:  # the end of a pty
        pass
    os.close(main)
    assert process.wait() == 0
    assert b"fetch a/b: done in" in shown
    assert b"model.safetensors" in shown and b"2 of 4 GiB" in shown


def test_a_closed_stderr_does_not_end_the_work() -> None:
    code = (
        "from commands.output import log_to_stderr, say\n"
        "log_to_stderr()\n"
        "say('one'); say('two'); print('result')\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stderr=write, stdout=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stdout) == (0, b"result\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("next: invoke plan --gpus 4", "next: slipway plan --gpus 4"),
        ("`invoke serve-weights F` and `invoke --list`", "`slipway serve-weights F` and `slipway --list`"),
        ("invoke -h", "slipway -h"),
        ("run `invoke COMMAND --help`", "run `slipway COMMAND --help`"),
        ("failed to invoke the handler", "failed to invoke the handler"),
        ("invoke planet", "invoke planet"),
        ("invoke.yaml and INVOKE_SLIPWAY_PORT", "invoke.yaml and INVOKE_SLIPWAY_PORT"),
    ],
)
def test_messages_name_the_program_that_was_typed(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/slipway"])
    assert (program(), named(text)) == ("slipway", shown)
    monkeypatch.setattr(sys, "argv", ["/clone/.venv/bin/invoke"])
    assert (program(), named(text)) == ("invoke", text)


def test_every_verb_is_replaced_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["slipway"])
    for verb in (name for names in GROUPS.values() for name in names):
        assert named(f"invoke {verb}.") == f"slipway {verb}."
