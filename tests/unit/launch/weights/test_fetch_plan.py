from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Refused
from launch.weights.fetch_plan import merge, select
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
def test_select_applies_the_patterns(
    include: tuple[str, ...], exclude: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    assert tuple(entry.path for entry in select(LISTED, include, exclude).wanted) == wanted


def test_select_refuses_patterns_that_match_no_file() -> None:
    with pytest.raises(Refused, match="no file of a/b is left"):
        select(LISTED, ("*.gguf",), ())


def test_merge_keeps_the_verification_of_unchanged_files() -> None:
    stored = replace(LISTED, entries=tuple(replace(one, verified="then") for one in LISTED.entries))
    changed = replace(LISTED, entries=(replace(LISTED.entries[0], blob="b" * 40), *LISTED.entries[1:]))
    assert [entry.verified for entry in merge(changed, stored).entries] == ["", "then", "then", "then"]


def test_merge_keeps_the_files_of_earlier_patterns() -> None:
    first = select(LISTED, ("*.json",), ())
    second = merge(select(LISTED, ("model-1*",), ()), first)
    assert [entry.path for entry in second.wanted] == ["config.json", "model-1.safetensors"]
