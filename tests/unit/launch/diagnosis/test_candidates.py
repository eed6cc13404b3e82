"""Conditions of rules, and which of several matching rules wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.rules import Rule, Rules, load_rules
from launch.diagnosis.types import Confidence
from tests.unit.launch.diagnosis.test_rules import worker_traceback

START = "(APIServer pid=1) INFO 08-20 09:14:02 [utils.py:278] non-default args: {'model': 'm', 'seed': 7}"
VERSION = "(APIServer pid=1) INFO 08-20 09:14:02 [api_server.py:1] vLLM API server version 0.26.0"
MESSAGE = "RuntimeError: the frobnicator ran dry"


def rule(name: str, pattern: str = "the frobnicator ran dry", **conditions: object) -> Rule:
    return replace(Rule(name, f"cause {name}", "fix", "test", (pattern,)), **conditions)  # type: ignore[arg-type]


def diagnose_with(*rules: Rule, where: str = "worker.init_device", before: tuple[str, ...] = ()) -> Diagnosis:
    table = Rules(rules, load_rules().ends)
    lines = [VERSION, START, *before, *worker_traceback(MESSAGE, where)]
    return diagnose(DiagnosisInput(lines, exit_code=1), table)


@pytest.mark.parametrize(
    "specific",
    [
        rule("b", when={"seed": "7"}),
        rule("b", frames="init_device"),
        rule("b", raised_in="worker"),
        rule("b", vllm=">=0.26,<0.27"),
        rule("b", phases=("start",)),
        rule("b", "RuntimeError: the frobnicator ran dry"),
    ],
)
def test_the_rule_with_more_conditions_or_more_text_wins_in_any_order(specific: Rule) -> None:
    general = rule("a")
    assert diagnose_with(general, specific).cause_id == "b"
    assert diagnose_with(specific, general).cause_id == "b"


@pytest.mark.parametrize(
    "inapplicable",
    [
        rule("b", when={"seed": "8"}),
        rule("b", when={"lora": "."}),
        rule("b", when_not={"seed": "7"}),
        rule("b", frames="load_model"),
        rule("b", vllm="<0.26"),
        rule("b", phases=("serving",)),
        rule("b", unless="frobnicator"),
    ],
)
def test_a_rule_whose_conditions_do_not_hold_does_not_match(inapplicable: Rule) -> None:
    assert not diagnose_with(inapplicable).known


def test_a_family_gives_way_to_a_rule_of_its_own() -> None:
    family = rule("family", "RuntimeError: the frobnicator ran dry", family=True, when={"seed": "7"})
    assert diagnose_with(family, rule("own")).cause_id == "own"
    assert diagnose_with(family).confidence is Confidence.MEDIUM


def test_rules_that_match_equally_well_are_reported_together() -> None:
    safe = rule("a", safe=True, change={"port": True})
    assert diagnose_with(safe).safe
    found = diagnose_with(safe, rule("b"))
    assert (found.cause_id, found.alternatives, found.confidence) == ("a", ("cause b",), Confidence.LOW)
    assert not found.safe


def test_a_line_explains_an_exception_only_if_its_rule_says_so() -> None:
    line = "valve 3 is stuck"
    assert not diagnose_with(rule("valve", line), before=(line,)).known
    assert not diagnose_with(rule("valve", line, explains="another"), before=(line,)).known
    found = diagnose_with(rule("valve", line, explains="frobnicator"), before=(line,))
    assert (found.cause_id, found.evidence) == ("valve", (line, f"(Worker_TP0) {MESSAGE}"))
    assert (found.confidence, diagnose_with(rule("own")).confidence) == (Confidence.MEDIUM, Confidence.HIGH)


def test_a_line_does_not_override_a_rule_of_the_exception_itself() -> None:
    line = "valve 3 is stuck"
    assert diagnose_with(rule("own"), rule("valve", line, explains="frob"), before=(line,)).cause_id == "own"
    family = rule("own", family=True)
    assert diagnose_with(family, rule("valve", line, explains="frob"), before=(line,)).cause_id == "valve"


def test_exceeds_compares_two_sizes_of_the_message() -> None:
    pattern = r"tried (?P<wanted>\S+ \S+), free (?P<free>\S+ \S+)"
    table = Rules((rule("a", pattern, exceeds={"free": "wanted"}),), load_rules().ends)
    for free, known in (("66.0 GiB", True), ("1.0 MiB", False), ("some GiB", False)):
        message = f"RuntimeError: tried 20.0 MiB, free {free}"
        assert diagnose(DiagnosisInput(worker_traceback(message), 1), table).known is known


def test_a_rule_that_gives_way_loses_to_a_later_traceback() -> None:
    table = Rules((rule("peer", "peer is gone", gives_way=True), rule("own")), load_rules().ends)
    lines = worker_traceback("RuntimeError: peer is gone")[:-3] + worker_traceback(MESSAGE)
    later = [line.replace("TP0 pid=24", "TP1 pid=25") for line in worker_traceback(MESSAGE)]
    assert diagnose(DiagnosisInput(lines[:5] + later, 1), table).cause_id == "own"
    assert (
        diagnose(DiagnosisInput(worker_traceback("RuntimeError: peer is gone"), 1), table).cause_id == "peer"
    )


def test_a_line_does_not_explain_an_exception_by_a_word_in_its_stack() -> None:
    line = "valve 3 is stuck"
    explains_gpu = rule("valve", line, explains="gpu_worker")
    assert not diagnose_with(explains_gpu, where="gpu_worker.init_device", before=(line,)).known


def test_only_a_row_about_memory_explains_that_memory_ran_out() -> None:
    line, message = "valve 3 is stuck", "torch.OutOfMemoryError: CUDA out of memory."
    for explains, known in (("CUDA", False), ("CUDA|out of memory", True)):
        table = Rules((rule("valve", line, explains=explains),), load_rules().ends)
        assert diagnose(DiagnosisInput([line, *worker_traceback(message)], 1), table).known is known


def test_a_rule_yields_to_a_line_of_a_rule_that_explains_it_better() -> None:
    line = "valve 3 is stuck"
    own, valve = rule("own", yields_to=("valve",)), rule("valve", line, explains="frobnicator")
    other = rule("other", line, explains="frobnicator")
    assert diagnose_with(own, valve, before=(line,)).cause_id == "valve"
    assert diagnose_with(own, other, before=(line,)).cause_id == "own"
    assert diagnose_with(own, valve).cause_id == "own"
