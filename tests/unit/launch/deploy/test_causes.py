"""Why pods do not run: from texts that servers reported."""

from __future__ import annotations

from typing import Any

import pytest

from launch.deploy.status import causes

TAINT, OTHER_NODE = (
    "the nodes have a taint that the pods do not tolerate",
    "no node has the planned kind of GPU",
)
GROUP = "a group needs more nodes, because each of its pods needs one for itself"
TEXTS = [
    ("3 Insufficient nvidia.com/gpu.", "too few free GPUs"),
    ("2 node(s) had taint {team: other}, that the pod didn't tolerate.", TAINT),
    ("1 node(s) had untolerated taint {team: other}.", TAINT),
    ("1 node(s) didn't match Pod's node affinity/selector.", OTHER_NODE),
    ("1 node(s) didn't match pod affinity/anti-affinity.", GROUP),
    ("1 Insufficient memory.", "no node has enough free CPU or memory"),
]


def pod(uid: str = "p", node: str = "", **status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "name": f"pod-{uid}"}, "spec": {"nodeName": node}, "status": status}


def event(uid: str, reason: str, message: str) -> dict[str, Any]:
    about = {"uid": uid, "name": f"object-{uid}"}
    return {"type": "Warning", "reason": reason, "message": message, "involvedObject": about}


@pytest.mark.parametrize(("text", "cause"), TEXTS)
def test_what_the_scheduler_reports(text: str, cause: str) -> None:
    text = f"0/3 nodes are available: {text}"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    (found,) = causes([], [pod(conditions=[condition])], [])
    assert (found.cause, found.evidence, found.final) == (cause, f"Unschedulable: {text}", False)


def test_pod_security_is_found_in_the_event_of_the_replica_set() -> None:
    text = 'pods "a" is forbidden: violates PodSecurity "restricted:latest": restricted volume types'
    (found,) = causes([{"metadata": {"uid": "rs"}}], [], [event("rs", "FailedCreate", text)])
    assert (found.cause, found.final) == ("the namespace's Pod Security level refuses the pods", True)


def test_events_of_former_objects_do_not_count() -> None:
    assert (
        causes([{"metadata": {"uid": "new"}}], [], [event("old", "FailedCreate", "exceeded quota: a")]) == ()
    )


def test_a_pod_that_has_a_node_by_now_is_not_unschedulable() -> None:
    late = event("p", "FailedScheduling", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    assert causes([], [pod(node="node-1")], [late]) == ()
    assert len(causes([], [pod()], [late])) == 1


def test_equal_causes_are_counted_once_a_pod() -> None:
    waiting = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}}]
    (found,) = causes([], [pod("a", containerStatuses=waiting), pod("b", containerStatuses=waiting)], [])
    assert (found.cause, found.pods) == ("a node cannot pull the image", 2)


def test_a_ready_pod_has_no_cause() -> None:
    ended = [{"lastState": {"terminated": {"reason": "OOMKilled"}}, "state": {"running": {}}}]
    ready = [{"type": "Ready", "status": "True"}]
    assert causes([], [pod(conditions=ready, containerStatuses=ended)], []) == ()
    assert len(causes([], [pod(containerStatuses=ended)], [])) == 1


def test_events_of_a_pod_whose_container_runs_are_of_the_past() -> None:
    pulled = event("p", "Failed", "Error: ErrImagePull")
    running = pod(node="n", containerStatuses=[{"state": {"running": {}}}])
    assert causes([], [running], [pulled]) == ()
    assert len(causes([], [pod(node="n")], [pulled])) == 1


def test_a_pod_that_was_made_later_disproves_a_quota() -> None:
    owner = {"metadata": {"uid": "rs"}}
    made = pod(node="n")
    made["metadata"]["creationTimestamp"] = "2026-11-28T00:10:00Z"
    full = {**event("rs", "FailedCreate", "exceeded quota: a"), "lastTimestamp": "2026-11-28T00:05:00Z"}
    assert causes([owner], [made], [full]) == ()
    assert len(causes([owner], [made], [{**full, "lastTimestamp": "2026-11-28T00:20:00Z"}])) == 1
    assert len(causes([owner], [], [full])) == 1
