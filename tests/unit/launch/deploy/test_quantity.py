"""Quantities of Kubernetes, and the sums that a quota counts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from launch.deploy.quantity import amount, needs, readable
from launch.render import kubernetes
from launch.render.cluster_settings import ClusterSettings
from tests.unit.launch.plan_builders import M2, plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500m", "0.5"), ("8", "8"), ("2Gi", str(2 * 2**30)), ("1.5k", "1500"), ("1e3", "1000")],
)
def test_amounts(text: str, expected: str) -> None:
    assert amount(text) == Decimal(expected)


@pytest.mark.parametrize("text", ["", "much", "Gi"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        amount(text)


def test_a_quota_counts_all_pods_of_all_groups() -> None:
    documents = kubernetes.documents(plan(M2, "h200", 8, 3), ClusterSettings(replicas=2))
    found = needs(documents)
    assert [int(found[name]) for name in ("pods", "requests.nvidia.com/gpu", "cpu")] == [6, 48, 60]
    assert readable("requests.memory", found["requests.memory"]) == "582 GiB"
    assert readable("pods", found["pods"]) == "6"
