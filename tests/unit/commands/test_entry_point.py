"""`slipway`: the verbs in every folder, under their own program name."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands.program_name import command
from tests.conftest import ROOT
from tests.invocation import slipway


@pytest.mark.parametrize("words", [(), ("--help",), ("help",), ("-h",), ("--list",)])
def test_slipway_lists_the_verbs(words: tuple[str, ...], tmp_path: Path) -> None:
    found = slipway(*words, folder=tmp_path).ok()
    assert "plan" in found.out and "serve-weights" in found.out
    assert "sudo" not in found.out and "invoke" not in found.out


def test_slipway_shows_groups_and_its_options(tmp_path: Path) -> None:
    found = slipway(folder=tmp_path).ok()
    assert "Usage: slipway COMMAND" in found.out
    assert "Set up:\n  doctor " in found.out
    assert "--print-completion-script {bash,zsh,fish}" in found.out


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_slipway_shows_its_version(word: str, tmp_path: Path) -> None:
    assert slipway(word, folder=tmp_path).ok().out.startswith("slipway ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_slipway_prints_a_completion_script(shell: str, tmp_path: Path) -> None:
    assert "slipway" in slipway("--print-completion-script", shell, folder=tmp_path).ok().out


def test_slipway_completes_verbs_and_options(tmp_path: Path) -> None:
    assert "serve-weights" in slipway("--complete", "--", "slipway", folder=tmp_path).ok().out.split()
    options = slipway("--complete", "--", "slipway", "plan", "--g", folder=tmp_path).ok().out.split()
    assert "--gpus" in options and "--model" in options


def test_slipway_gives_short_options_their_usual_meaning(tmp_path: Path) -> None:
    found = slipway("run", "-d", "-p", "8080", "--dry-run", "--hardware", "h200", folder=tmp_path).ok()
    assert "-p 127.0.0.1:8080:8000" in found.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("plan", "--gpu", "4"),
            "unknown option '--gpu'. Did you mean `--gpus`?\n  next: slipway plan --help",
        ),
        (("plam",), "unknown command 'plam'. Did you mean `plan`?\n  next: slipway --list"),
        (("--versoin",), "unknown option '--versoin'. Did you mean `--version`?\n  next: slipway --help"),
        (("-p",), "unknown option '-p'\n  next: slipway --help"),
        (("--config",), "--config needs a value\n  next: slipway --help"),
        (("--list-depth", "x"), "--list-depth must be an integer (got 'x')"),
        (("--list-depth=1.5",), "--list-depth must be an integer (got '1.5')"),
        (("PLAN",), "unknown command 'PLAN'. Did you mean `plan`?"),
        (("plan", "build"), "unknown model 'build'"),
        (("plan", "--model", "a/b", "--hardware", "h200"), "unknown model 'a/b'"),
    ],
)
def test_slipway_names_itself_in_messages(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    found = slipway(*words, folder=tmp_path)
    assert (found.code, found.out) == (2, "")
    assert message in found.err
    assert "invoke" not in found.err and "Traceback" not in found.err


def test_command_ignores_modules_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["slipway"])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "errors.py").write_text("raise SystemExit('another module')")
    done = subprocess.run(
        [*command(), "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
def test_an_interrupt_while_modules_are_loaded_prints_no_traceback(delay: float, tmp_path: Path) -> None:
    """Not covered is the start of the interpreter itself, about 20 ms, before main() is called."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from commands.entry_point import main\n"
        "print(flush=True)\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "logs"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.005 + delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
