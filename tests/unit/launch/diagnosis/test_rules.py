"""Real wordings of failures, each ending a traceback of a worker: the table names the cause that is meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from launch.diagnosis.diagnose import Diagnosis, Evidence, diagnose
from launch.diagnosis.docs_page import page
from launch.diagnosis.rules import table

WORDINGS = yaml.safe_load(Path(__file__).with_name("rule_examples.yaml").read_text())


def cases(kind: str) -> list[tuple[str, str]]:
    return [(cause, words) for cause, all_words in WORDINGS[kind].items() for words in all_words]


def worker_traceback(message: str, where: str = "worker.init_device") -> list[str]:
    """A worker's traceback as vLLM logs it, with the consequence that the engine adds."""
    file, _, function = where.partition(".")
    said = [
        "WorkerProc failed to start.",
        "Traceback (most recent call last):",
        f'  File "/opt/vllm/{file}.py", line 10, in {function}',
        "    self.do_it()",
        *message.splitlines(),
    ]
    prefix = "(Worker_TP0 pid=24) ERROR 11-23 03:01:18 [multiproc_executor.py:953] "
    after = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    raw = ["Traceback (most recent call last):", '  File "/opt/vllm/bin/vllm", line 10, in <module>', after]
    return [prefix + line for line in said] + raw


def found_for(message: str, where: str = "worker.init_device") -> Diagnosis:
    return diagnose(Evidence(worker_traceback(message, where), exit_code=1))


@pytest.mark.parametrize(("cause", "message"), cases("exceptions"))
def test_an_exception_names_its_cause(cause: str, message: str) -> None:
    found = found_for(message)
    assert (found.cause_id, found.known) == (cause, True)
    assert found.first_exception.startswith(message.splitlines()[0][:60])
    assert found.proof[0].startswith("(Worker_TP0)")


@pytest.mark.parametrize(("cause", "line"), cases("lines"))
def test_a_line_without_a_traceback_names_its_cause(cause: str, line: str) -> None:
    assert diagnose(Evidence([line], exit_code=1)).cause_id == cause


@pytest.mark.parametrize(("cause", "said"), cases("engine"))
def test_the_engine_s_own_words_name_the_cause(cause: str, said: str) -> None:
    assert diagnose(Evidence(engine_error=said)).cause_id == cause


@pytest.mark.parametrize(("cause", "at", "words"), [(c, *row.values()) for c, row in WORDINGS["at"].items()])
def test_the_same_words_mean_something_else_at_another_place(cause: str, at: str, words: str) -> None:
    assert found_for(words, at).cause_id == cause
    assert found_for(words).cause_id != cause


def test_every_row_has_a_wording() -> None:
    """A row that nothing exercises may be wrong without anybody noticing."""
    exercised = {cause for kind in WORDINGS.values() for cause in kind}
    assert {row.id for row in table().symptoms} - exercised == set()


def test_running_out_of_memory_is_cured_by_where_it_happened() -> None:
    oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert found_for(oom, "gpu_worker.load_model").change is None
    assert found_for(oom, "gpu_model_runner.capture_model").cause_id == "gpu-memory-at-capture"
    assert found_for(oom, "gpu_model_runner.profile_run").change == {
        "lower": {"--gpu-memory-utilization": "0.05"}
    }


def test_an_occupied_gpu_is_cured_by_what_is_free() -> None:
    found = found_for(
        "ValueError: Free memory on device cuda:0 (100.0/140.0 GiB) on startup is less than desired GPU"
        " memory utilization (0.92, 128.8 GiB)."
    )
    assert found.change == {"set": {"--gpu-memory-utilization": "0.71"}}
    assert found.safe


def test_without_the_number_there_is_no_change() -> None:
    found = found_for(
        "ValueError: To serve at least one request with the model's max seq len (4096), (9.0 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (0.1 GiB)."
    )
    assert (found.cause_id, found.change, found.safe) == ("kv-cache-too-small", None, False)


def test_a_misspelt_parser_gets_the_nearest_one() -> None:
    found = found_for(
        "KeyError: 'invalid tool call parser: minimax2 (chose from { hermes,minimax_m2,xlam })'"
    )
    assert found.fix == "invoke run --set --tool-call-parser=NAME; nearest: minimax_m2"


def test_the_page_is_made_from_the_table() -> None:
    """After a change of rules.yaml: python -m launch.diagnosis.docs_page > docs/reference/symptoms.md."""
    assert (Path(__file__).parents[4] / "docs/reference/symptoms.md").read_text() == page(table())


def test_rows_are_unique_and_fill_only_what_a_pattern_can_give() -> None:
    rows = table().symptoms
    assert len({row.id for row in rows}) == len(rows)
    derived = {"nearest", "parser", "utilization", "legal"}
    for row in rows:
        given = {name for pattern in row.patterns for name in pattern.groupindex} | derived
        wanted = set(re.findall(r"<(\w+)>", f"{row.cause} {row.fix} {row.change}"))
        assert wanted <= given, row.id
