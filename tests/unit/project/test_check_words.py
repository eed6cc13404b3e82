"""The word check finds each word in each kind of text, and ignores code and the output of other programs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import check_words
from tests.conftest import ROOT

RULES: dict[str, Any] = yaml.safe_load(check_words.RULES.read_text())


def check(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    allow: list[dict[str, str]] | None = None,
) -> list[str]:
    """Return the findings for one file of a repository."""
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return list(check_words.findings([path], {**RULES, "allow": allow or []}))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.py", '"""Ask nobody."""\n', 1),
        ("a.py", 'x = 1\n\n\ndef f():\n    """Do.\n\n    Ask nobody.\n    """\n', 7),
        ("a.py", "# The value that\n# nobody sets.\nx = 1\n", 2),
        ("a.py", 'print("asked by nobody today")\n', 1),
        ("a.py", 'print(f"{x} is asked by nobody today")\n', 1),
        ("a.py", "x = 1\n\n\ndef nobody_asks():\n    pass\n", 4),
        ("a.py", "class NobodyAsks:\n    pass\n", 1),
        ("a.py", "def f(nobody=1):\n    pass\n", 1),
        ("a.py", "x = 1\nasked_nobody = 1\n", 2),
        ("nobody_asks.py", "", 1),
        ("tests/test_a.py", "\n\ndef test_nobody_asks():\n    pass\n", 3),
        ("a.md", "# Title\n\nAsk nobody.\n", 3),
        ("a.md", "```sh\nslipway ps  # asks nobody\n```\n", 2),
        ("a.yaml", "# asked by nobody\nx: 1\n", 1),
        ("a.yaml", "x:\n- cause: it is asked by nobody\n", 2),
        ("a.sh", "true # asks nobody\n", 1),
        ("Dockerfile", "FROM scratch\n# asks nobody\n", 2),
    ],
)
def test_check_words_finds_the_word_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, line: int
) -> None:
    (found,) = check(tmp_path, monkeypatch, name, text)
    assert found.lower().startswith(f"{name}:{line}: 'nobody': write ".lower())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", 'x = "nobody"\n'),  # a value and not a sentence
        ("a.py", 'x = r"asked by nobody"\n'),  # a pattern
        ("a.py", "# See `nobody`.\n"),
        ("tests/test_a.py", 'LOG = "asked by nobody today"\n'),  # the output of another program
        ("a.md", "Run `nobody`, see [this](nobody.md).\n\n```\nnobody\n```\n"),
        ("a.yaml", "patterns: [asked by nobody today]\n"),
        ("a.md", "There is no GPU, and there is none of it. It is no longer wanted.\n"),
        ("a.md", "It took 5 ms in the US: an illegal memory access.\n"),
    ],
)
def test_check_words_ignores_code_and_quotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    assert check(tmp_path, monkeypatch, name, text) == []


def test_check_words_finds_a_phrase_across_a_line_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = check(
        tmp_path, monkeypatch, "a.py", "# A file that is\n# none of the two, or is\n# none.\nx = 1\n"
    )
    assert [line.split(":")[1] for line in found] == ["2"]


def test_check_words_accepts_an_allowed_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow = [{"file": "a.md", "line": "^Ask nobody here", "why": "a title"}]
    assert check(tmp_path, monkeypatch, "a.md", "Ask nobody here.\n", allow) == []


def test_check_words_reports_an_exception_that_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow = [{"file": "a.md", "line": "nobody", "why": "a title"}]
    assert check(tmp_path, monkeypatch, "a.md", "Plain.\n", allow) == [
        "words.yaml: this exception is not needed: a.md: nobody"
    ]


def test_every_word_says_what_to_write_instead() -> None:
    for word in [check_words.Word(**row) for row in RULES["words"]]:
        assert word.pattern() and word.use


def test_check_words_reads_every_tracked_text() -> None:
    files = check_words.tracked(RULES["leave_out"])
    assert ROOT / "README.md" in files
    assert not [path for path in files if path.suffix == ".log"]
