"""Literal text that a match needs: found where it is sure, and never claimed where it is not."""

from __future__ import annotations

import pytest

from launch.diagnosis.literals import required
from launch.diagnosis.rules import compiled, load_rules
from tests.unit.launch.diagnosis.test_rules import cases


@pytest.mark.parametrize(
    ("pattern", "runs"),
    [
        ("out of memory", {"out of memory"}),
        ("(?:CUDA|HIP) out of memory", {" out of memory"}),
        (r"size (\d+) is not divisible by", {" is not divisible by"}),
        ("SafetensorError|HeaderTooLarge", {"safetensorerror", "headertoolarge"}),
        ("(?:abcdef)?ghijk", {"ghijk"}),
        ("abc(?:defgh|ijklm)", {"defgh", "ijklm"}),
        (r"\[Errno 28\] No space", {"[errno 28] no space"}),
        ("(?!abcdef)ghi", {"ghi"}),
        ("ab+cdefg", {"cdefg"}),
        ("colou?r of", {"colo"}),
        ("abcdef|", set()),
        (r"\w+", set()),
        ("(?:abcdef)*", set()),
    ],
)
def test_required_returns_what_every_match_contains(pattern: str, runs: set[str]) -> None:
    assert set(required(pattern).runs) == runs


def test_required_holds_for_every_pattern_and_wording_of_the_rules() -> None:
    wordings = [message for kind in ("exceptions", "lines", "engine") for _, message in cases(kind)]
    for rule in load_rules().rules:
        for pattern in rule.patterns:
            runs = required(pattern).runs
            for wording in filter(compiled(pattern).search, wordings):
                assert not runs or any(run in wording.lower() for run in runs), (pattern, wording)


def test_required_weighs_more_literal_text_more() -> None:
    assert required("out of memory while loading").weight > required("out of memory").weight
