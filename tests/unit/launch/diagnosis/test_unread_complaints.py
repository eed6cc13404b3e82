"""A complaint that no rule reads is never called "no failure"."""

from __future__ import annotations

import pytest

from launch.diagnosis.diagnose import Diagnosis, DiagnosisInput, diagnose
from launch.diagnosis.types import Outcome
from tests.unit.launch.diagnosis.test_rules import worker_traceback

START = "(APIServer pid=1) INFO 11-23 02:57:50 [api_utils.py:286] non-default args: {'seed': 7}"
LOADS = "(EngineCore pid=7) INFO 11-23 02:58:24 [m.py:9] Starting to load model m..."


def diagnose_lines(*lines: str) -> Diagnosis:
    return diagnose(DiagnosisInput(lines))


@pytest.mark.parametrize(
    "line",
    [
        "vllm: the frobnicator cannot reach the GPU",
        "nvidia: device 3 is not responding",
        "(EngineCore pid=7) the valve failed to open",
    ],
)
def test_a_complaint_that_no_rule_reads_is_unknown(line: str) -> None:
    found = diagnose_lines(line)
    assert (found.outcome, found.cause_id) == (Outcome.UNKNOWN, "")
    assert line.removeprefix("(EngineCore pid=7) ") in found.evidence[0]


@pytest.mark.parametrize(
    "line",
    [
        "Failed requests:                         0",
        "gpu7:196:196 [0] NCCL INFO Failed to open libibverbs.so[.1]",
        "ls: cannot access '/dev/elsewhere': No such file or directory",
    ],
)
def test_a_complaint_that_healthy_servers_print_as_well_is_ignored(line: str) -> None:
    assert diagnose_lines("vllm", line).outcome is Outcome.HEALTHY


def test_a_start_that_goes_on_shows_its_last_complaint() -> None:
    found = diagnose_lines(START, LOADS, "the frobnicator cannot reach the GPU")
    assert found.outcome is Outcome.WAITING
    assert "no rule reads its last complaint" in found.cause
    assert "the frobnicator cannot reach the GPU" in found.evidence


EVENT = "  Warning  FailedScheduling  9m  default-scheduler  0/6 nodes are available: 6 Insufficient nvidia.com/gpu."


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        (
            "  Normal   Scheduled  8m  default-scheduler  Successfully assigned default/vllm-0 to n1",
            Outcome.WAITING,
        ),
        ("  Normal   NotTriggerScaleUp  8m  cluster-autoscaler  pod did not trigger scale-up", Outcome.NAMED),
    ],
)
def test_a_warning_of_kubernetes_is_dropped_if_the_pod_came_further(later: str, outcome: Outcome) -> None:
    assert diagnose_lines(EVENT, later, START).outcome is outcome


def test_a_fix_does_not_remove_an_option_that_was_not_given() -> None:
    invalid = "ValueError: Selected backend AttentionBackendEnum.X is not valid for this configuration. Reason: ['y']"
    given = START.replace("'seed': 7", "'attention_backend': 'X'")
    found = diagnose(DiagnosisInput([given, *worker_traceback(invalid)], 1))
    assert found.change == {"unset": ["--attention-backend"]}
    found = diagnose(DiagnosisInput([START, *worker_traceback(invalid)], 1))
    assert (found.change, found.cause_id) == (None, "attention-backend")
    assert "--attention-backend was not given" in found.fix


def test_diagnose_guesses_the_cause_of_a_few_lines_that_do_not_name_vllm() -> None:
    found = diagnose(
        DiagnosisInput(["zmq.error.ZMQError: Address already in use (addr='tcp://10.0.0.3:13345')"])
    )
    assert (found.outcome, found.cause_id) == (Outcome.FOREIGN, "")
    assert "a port for the ranks is in use" in found.cause
    redis = diagnose(DiagnosisInput(["1:M 01 Jan 2026 00:00:00.000 # Bind: Address already in use"]))
    assert "port" not in redis.cause
