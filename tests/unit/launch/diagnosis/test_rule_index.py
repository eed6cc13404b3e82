"""The index finds every rule that matches, and few others."""

from __future__ import annotations

from launch.diagnosis.rule_index import RuleIndex
from launch.diagnosis.rules import load_rules
from tests.unit.launch.diagnosis.test_rules import cases


def test_candidates_contain_every_rule_that_matches() -> None:
    rules = load_rules()
    for kind in ("exceptions", "lines", "engine"):
        for _, message in cases(kind):
            matching = {rule.id for rule in rules.rules if rule.match(message)}
            assert matching <= {rule.id for rule in rules.index.candidates(message)}, message


def test_candidates_are_few_for_a_line_that_nothing_matches() -> None:
    index = load_rules().index
    assert len(index.candidates("the quick brown fox jumps over the lazy dog, 42 times a day")) < 20


def test_index_of_no_rules_has_no_candidates() -> None:
    index = RuleIndex(load_rules().rules[:0])
    assert index.candidates("out of memory") == []
