"""The decorator of verbs: values for the body, messages and exit codes for what it raises."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

from commands.shared_options import DryRun
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import pairs
from tests.invocation import invoke
from tests.unit.commands.verbs import VERBS

Body = Callable[..., None]


def run(body: Body, **given: Any) -> None:
    context = Context(Config(defaults={"slipway": {}, "run": {"dry": False}}, lazy=True))
    verb()(body)(context, **given)


def raising(error: Exception) -> Body:
    def fail(c: Context) -> None:
        """Fail."""
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"), [(Failed("no", fix="try again"), 1), (Refused("no", fix="try again"), 2)]
)
def test_an_error_ends_with_its_message_and_exit_code(error: Exception, code: int) -> None:
    with pytest.raises(Exit) as end:
        run(raising(error))
    assert (end.value.code, str(end.value)) == (code, "error: no\n  next: try again")


def test_an_unexpected_exception_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_DEBUG", raising=False)
    with pytest.raises(Exit, match="unexpected: ZeroDivisionError: by zero"):
        run(raising(ZeroDivisionError("by zero")))


def test_debug_keeps_the_traceback_of_an_unexpected_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError("by zero")))


def test_a_full_disk_has_a_message_of_its_own() -> None:
    with pytest.raises(Exit, match="no space left on the disk\n  why: /tmp/x\n  next: free some space"):
        run(raising(OSError(errno.ENOSPC, "No space left on device", "/tmp/x")))


def test_an_interrupt_ends_with_exit_code_130() -> None:
    def wait(c: Context) -> None:
        """Wait."""
        raise KeyboardInterrupt

    with pytest.raises(Exit) as end:
        run(wait)
    assert end.value.code == 130


def test_a_dry_run_of_the_program_is_one_of_the_verb() -> None:
    found = []

    def act(c: Context, dry_run: DryRun = False) -> None:
        """Act."""
        found.append(dry_run)

    context = Context(Config(defaults={"slipway": {}, "run": {"dry": True}}, lazy=True))
    verb()(act)(context)
    run(act)
    assert found == [True, False]


def test_a_parameter_without_an_option_is_an_error_of_the_code() -> None:
    def act(c: Context, name: str = "") -> None:
        """Act."""

    with pytest.raises(TypeError, match="parameter name describes no option"):
        assert verb()(act).options


def test_pairs_need_a_name_and_a_value() -> None:
    assert pairs("--env", ["A=b=c"]) == (("A", "b=c"),)
    for text in ("A", "=b"):
        with pytest.raises(Refused, match="a value is missing"):
            pairs("--env", [text])


def test_a_setting_of_a_configuration_file_changes_what_a_verb_does(tmp_path: Path) -> None:
    file = tmp_path / "invoke.yaml"
    file.write_text("slipway: {hardware: h200}\n")
    assert "vllm serve" in invoke("plan", "--gpus", "4", INVOKE_RUNTIME_CONFIG=str(file)).ok().out


def test_a_setting_of_the_environment_changes_what_a_verb_does() -> None:
    for variable in ("INVOKE_SLIPWAY_HARDWARE", "SLIPWAY_HARDWARE"):
        assert "vllm serve" in invoke("plan", "--gpus", "4", **{variable: "h200"}).ok().out


def test_every_verb_has_verbose_and_quiet() -> None:
    for each in VERBS.values():
        assert [option.flag for option in each.options[-2:]] == ["verbose", "quiet"]
