"""Match real messages of failures, each at the end of a worker's traceback, with the rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.docs_page import render_page
from launch.diagnosis.rules import compiled, load_rules

EXAMPLES = yaml.safe_load(Path(__file__).with_name("rule_examples.yaml").read_text())


def cases(kind: str) -> list[tuple[str, str]]:
    return [(cause, message) for cause, messages in EXAMPLES[kind].items() for message in messages]


def worker_traceback(message: str, where: str = "worker.init_device") -> list[str]:
    """Return a worker's traceback as vLLM logs it, with the consequence that the engine adds."""
    file, _, function = where.rpartition(".")
    logged = [
        "WorkerProc failed to start.",
        "Traceback (most recent call last):",
        f'  File "/usr/lib/python3/site-packages/{file}.py", line 10, in {function}',
        "    self.do_it()",
        *message.splitlines(),
    ]
    prefix = "(Worker_TP0 pid=24) ERROR 11-23 03:01:18 [multiproc_executor.py:953] "
    after = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    raw = ["Traceback (most recent call last):", '  File "/opt/vllm/bin/vllm", line 10, in <module>', after]
    return [prefix + line for line in logged] + raw


def failure_of(case: dict[str, Any]) -> list[str]:
    """Return the traceback of a case, or nothing if the lines before it are the failure."""
    return worker_traceback(case["words"], case.get("at", "worker.init_device")) if "words" in case else []


def diagnose_message(message: str, where: str = "worker.init_device") -> Diagnosis:
    return diagnose(DiagnosisInput(worker_traceback(message, where), exit_code=1))


@pytest.mark.parametrize(("cause", "message"), cases("exceptions"))
def test_rules_match_an_exception(cause: str, message: str) -> None:
    found = diagnose_message(message)
    assert (found.cause_id, found.known) == (cause, True)
    assert found.first_exception.startswith(message.splitlines()[0][:60])
    assert found.evidence[0].startswith("(Worker_TP0)")


@pytest.mark.parametrize(("cause", "line"), cases("lines"))
def test_rules_match_a_line_without_a_traceback(cause: str, line: str) -> None:
    assert diagnose(DiagnosisInput([line], exit_code=1)).cause_id == cause


@pytest.mark.parametrize(("cause", "error"), cases("engine"))
def test_rules_match_an_error_of_the_engine(cause: str, error: str) -> None:
    assert diagnose(DiagnosisInput(engine_error=error)).cause_id == cause


@pytest.mark.parametrize(
    ("cause", "frame", "message"), [(c, *row.values()) for c, row in EXAMPLES["at"].items()]
)
def test_rules_match_by_the_frame_of_an_exception(cause: str, frame: str, message: str) -> None:
    assert diagnose_message(message, frame).cause_id == cause
    assert diagnose_message(message).cause_id != cause


@pytest.mark.parametrize(
    ("cause", "case"), [(cause, case) for cause, rows in EXAMPLES["cases"].items() for case in rows]
)
def test_rules_match_under_their_conditions(cause: str, case: dict[str, Any]) -> None:
    lines = [*case.get("before", ()), *failure_of(case)]
    assert diagnose(DiagnosisInput(lines, exit_code=1)).cause_id == cause


def test_every_rule_has_an_example() -> None:
    """A rule without an example may be wrong unnoticed."""
    tested = {cause for kind in EXAMPLES.values() for cause in kind}
    assert {rule.id for rule in load_rules().rules} - tested == set()


def test_rules_fix_out_of_memory_by_its_frame() -> None:
    oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert diagnose_message(oom, "gpu_worker.load_model").change is None
    assert diagnose_message(oom, "gpu_model_runner.capture_model").cause_id == "gpu-memory-at-capture"
    assert diagnose_message(oom, "gpu_model_runner.profile_run").change == {
        "lower": {"--gpu-memory-utilization": "0.05"}
    }


def test_rules_fix_an_occupied_gpu_with_the_free_share() -> None:
    found = diagnose_message(
        "ValueError: Free memory on device cuda:0 (100.0/140.0 GiB) on startup is less than desired GPU"
        " memory utilization (0.92, 128.8 GiB)."
    )
    assert found.change == {"set": {"--gpu-memory-utilization": "0.71"}}
    assert found.safe


def test_rules_have_no_change_if_the_log_lacks_its_value() -> None:
    found = diagnose_message(
        "ValueError: To serve at least one request with the model's max seq len (4096), (9.0 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (0.1 GiB)."
    )
    assert (found.cause_id, found.change, found.safe) == ("kv-cache-too-small", None, False)


def test_rules_suggest_the_nearest_parser() -> None:
    found = diagnose_message(
        "KeyError: 'invalid tool call parser: minimax2 (chose from { hermes,minimax_m2,xlam })'"
    )
    assert found.fix == "invoke run --set --tool-call-parser=NAME; nearest: minimax_m2"


def test_docs_page_is_up_to_date() -> None:
    """After a change of a rule: python -m launch.diagnosis.docs_page > docs/reference/symptoms.md."""
    assert (Path(__file__).parents[4] / "docs/reference/symptoms.md").read_text() == render_page(load_rules())


def test_rules_are_unique_and_use_only_captured_values() -> None:
    rules = load_rules().rules
    assert len({rule.id for rule in rules}) == len(rules)
    derived = {"nearest", "parser", "utilization", "divisor", "fewer", "place"}
    for rule in rules:
        given = {name for pattern in rule.patterns for name in compiled(pattern).groupindex} | derived
        wanted = set(re.findall(r"<(\w+)>", f"{rule.cause} {rule.fix} {rule.change}"))
        assert wanted <= given, rule.id


def test_rules_yield_to_rows_that_explain_by_a_line() -> None:
    rules = {rule.id: rule for rule in load_rules().rules}
    better = [rules[name] for rule in rules.values() for name in rule.yields_to]
    assert len(better) > 5
    assert all(rule.explains or rule.plain for rule in better), [rule.id for rule in better]
