"""Who answers requests over several nodes: the head, or every node with hybrid load balancing."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.render import kubernetes
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, plan

HYBRID = ("--data-parallel-hybrid-lb", "true")


def two_nodes(*settings: tuple[str, str]) -> Plan:
    return plan(M2, hardware="h200", gpus=8, nodes=2, settings=settings)


def test_the_head_answers_and_its_followers_are_headless_for_a_reason() -> None:
    made = two_nodes()
    assert [("--headless" in process.argv) for process in made.processes] == [False, True]
    (why,) = {reason.why for reason in made.reasons if reason.item == "--headless"}
    assert why == (
        "the head answers all requests; --set --data-parallel-hybrid-lb=true gives every node an API server"
    )


def test_with_hybrid_balancing_every_node_answers() -> None:
    made = two_nodes(HYBRID)
    for rank, process in enumerate(made.processes):
        assert "--data-parallel-hybrid-lb" in process.argv
        assert "--headless" not in process.argv
        assert ("--data-parallel-start-rank" in process.argv) == bool(rank)
    service = kubernetes.documents(made)[-1]
    assert "role" not in service["spec"]["selector"]
    group = kubernetes.documents(made)[0]["spec"]["leaderWorkerTemplate"]
    assert "readinessProbe" in group["workerTemplate"]["spec"]["containers"][0]


@pytest.mark.parametrize(("nodes", "strategy"), [(1, ""), (2, "multi_node_tp_pp")])
def test_hybrid_balancing_without_ranks_on_several_nodes_is_refused(nodes: int, strategy: str) -> None:
    with pytest.raises(Refused, match="is for data parallel ranks on several nodes"):
        plan(M2, hardware="h200", gpus=8, settings=(HYBRID,), nodes=nodes, strategy=strategy)
