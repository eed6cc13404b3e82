"""The phases of a pod's start, from the values that an API server gives."""

from __future__ import annotations

from typing import Any

import pytest

from launch.deploy.start import PodStart, seconds_of

CREATED = "2026-11-01T10:00:00Z"
SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-01T10:00:03Z"}
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T10:05:00Z"}
RUNNING = {"name": "vllm", "state": {"running": {"startedAt": "2026-11-01T10:02:00Z"}}}
LOG = """\
2026-11-01T10:02:10.500000000Z INFO Resolved architecture: MiniMaxM2ForCausalLM
2026-11-01T10:02:11Z INFO Initializing a V1 LLM engine
2026-11-01T10:02:20Z INFO Starting to load model
2026-11-01T10:03:00Z Loading safetensors checkpoint shards:  40% Completed
"""
END = """\
2026-11-01T10:03:00Z Loading safetensors checkpoint shards:  40% Completed
2026-11-01T10:04:00Z INFO KV cache size: 1,000 tokens
2026-11-01T10:04:30Z INFO Starting vLLM server on http://0.0.0.0:8000
2026-11-01T10:04:40Z INFO Application startup complete
"""


def pod(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": "u", "creationTimestamp": CREATED},
        "status": {"conditions": list(conditions), **status},
    }


def event(reason: str, time: str, uid: str = "u") -> dict[str, Any]:
    return {"reason": reason, "firstTimestamp": time, "involvedObject": {"uid": uid}}


PULL = [event("Pulling", "2026-11-01T10:00:05Z"), event("Pulled", "2026-11-01T10:01:58Z")]


@pytest.fixture
def start() -> PodStart:
    return PodStart("m2-1")


def test_a_pod_without_a_node_is_being_scheduled(start: PodStart) -> None:
    start.read_status(pod(), [])
    assert (start.note, start.index, start.seconds) == ("schedule", 0, {})


def test_an_image_that_is_being_pulled(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED), PULL[:1])
    assert (start.note, start.seconds) == ("pull", {"schedule": 3, "mount": 2})


def test_events_of_another_pod_do_not_count(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED), [event("Pulling", CREATED, uid="other")])
    assert start.note == "mount"


def test_an_image_that_is_there_is_not_pulled(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED, containerStatuses=[RUNNING]), PULL[1:])
    assert "pull" not in start.seconds
    assert start.note == "import"


def test_the_log_tells_the_phase_and_its_percentage(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED, containerStatuses=[RUNNING]), PULL)
    start.read_log(LOG)
    assert start.note == "load weights 40%"
    assert start.last == "2026-11-01T10:03:00Z"
    assert start.seconds == {
        "schedule": 3,
        "mount": 2,
        "pull": 113,
        "create": 2,
        "import": 10.5,
        "configure": 0.5,
        "engine": 9,
    }


def test_lines_that_come_twice_change_nothing_and_a_ready_pod_has_all_times(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED, containerStatuses=[RUNNING]), PULL)
    start.read_log(LOG)
    start.read_log(END)
    assert (start.note, start.ready_at) == ("ready", 0)
    start.read_status(pod(SCHEDULED, READY, containerStatuses=[RUNNING]), PULL)
    assert list(start.seconds.values())[-4:] == [100, 30, 10, 20]
    assert start.index == len(start.names)


def test_a_progress_bar_has_its_time_on_the_first_line_only(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED, containerStatuses=[RUNNING]), PULL)
    start.read_log(LOG + "2026-11-01T10:03:10Z shards:  60% Completed\rshards:  80% Completed\n")
    assert start.note == "load weights 80%"


def test_a_container_that_starts_again_begins_again(start: PodStart) -> None:
    start.read_status(pod(SCHEDULED, containerStatuses=[RUNNING]), PULL)
    start.read_log(LOG)
    again = {"name": "vllm", "state": {"running": {"startedAt": "2026-11-01T10:06:00Z"}}}
    start.read_status(pod(SCHEDULED, containerStatuses=[again]), PULL)
    assert (start.note, start.last) == ("import", "")


def test_a_container_that_runs_before_the_server_has_its_name(start: PodStart) -> None:
    running = {"name": "prefetch", "state": {"running": {"startedAt": "2026-11-01T10:00:10Z"}}}
    start.read_status(pod(SCHEDULED, initContainerStatuses=[running]), [])
    assert start.note == "prefetch"


def test_times_may_have_nanoseconds() -> None:
    assert seconds_of("2026-11-01T10:00:00.123456789Z") - seconds_of(CREATED) == pytest.approx(0.123456789)
