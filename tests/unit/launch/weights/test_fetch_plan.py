"""Which files a fetch is for, and what it remembers of earlier ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Refused
from launch.weights.fetch_plan import choose, remember
from launch.weights.manifest import Entry, Manifest

PATHS = ("config.json", "model-1.safetensors", "model-2.safetensors", "original/weights.pth")
LISTED = Manifest("a/b", "main", "c" * 40, tuple(Entry(path, 5, "a" * 40) for path in PATHS))


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        ((), (), PATHS),
        (("*.json",), (), PATHS[:1]),
        (("*.json", "model-1*"), (), PATHS[:2]),
        ((), ("original/*",), PATHS[:3]),
        ((), ("original/",), PATHS[:3]),
        (("*.safetensors",), ("*-2*",), PATHS[1:2]),
    ],
)
def test_patterns(include: tuple[str, ...], exclude: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert tuple(entry.path for entry in choose(LISTED, include, exclude).wanted) == wanted


def test_patterns_that_leave_nothing_are_refused() -> None:
    with pytest.raises(Refused, match="no file of a/b is left"):
        choose(LISTED, ("*.gguf",), ())


def test_what_was_proven_is_remembered_while_the_file_is_the_same() -> None:
    proven = replace(LISTED, entries=tuple(replace(one, verified="then") for one in LISTED.entries))
    changed = replace(LISTED, entries=(replace(LISTED.entries[0], blob="b" * 40), *LISTED.entries[1:]))
    assert [entry.verified for entry in remember(changed, proven).entries] == ["", "then", "then", "then"]


def test_what_was_wanted_once_still_is() -> None:
    first = choose(LISTED, ("*.json",), ())
    second = remember(choose(LISTED, ("model-1*",), ()), first)
    assert [entry.path for entry in second.wanted] == ["config.json", "model-1.safetensors"]
