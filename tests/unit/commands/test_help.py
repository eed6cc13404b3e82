"""The help of every verb, as files in tests/golden/help. A change shows as a line that differs.

SLIPWAY_GOLDEN=write rewrites them: `SLIPWAY_GOLDEN=write pytest tests/unit/commands/test_help.py`. Look at the diff
before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands import help as help_texts
from commands.program_name import GROUPS
from tests.unit.commands.verbs import VERBS

GOLDEN = Path(__file__).parents[2] / "golden" / "help"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def compare(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SLIPWAY_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert file.read_text() == text + "\n"


@pytest.mark.parametrize("name", sorted(VERBS))
def test_help_of_a_verb(name: str) -> None:
    compare(name, help_texts.verb_help(VERBS[name]))


def test_list_of_verbs() -> None:
    compare("_all", help_texts.overview(VERBS))


def test_every_verb_has_a_file_and_every_file_a_verb() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*VERBS, "_all"}


def test_every_verb_stands_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(VERBS)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_and_option_is_described(name: str) -> None:
    first = help_texts.summary(VERBS[name])
    assert first.endswith(".") and len(first) <= 100
    for option in VERBS[name].options:
        assert option.help, f"--{option.flag} has no help"
        assert (
            option.help[0].islower()
            or not option.help[0].isalpha()
            or option.help.split()[0].isupper()
            or (option.help.split()[0] in ("HTTP", "JSON", "Hugging", "vLLM", "GPUs"))
        ), f"--{option.flag}: {option.help}"


@pytest.mark.parametrize("columns", ["1", "40", "400"])
def test_help_fits_narrow_and_wide_terminals(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = help_texts.verb_help(VERBS["run"]).splitlines()
    assert max(map(len, lines)) <= 110
