"""Many sets on a real API server: how long it takes to apply and to read them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from launch.deploy import apply
from launch.deploy.client import Cluster
from launch.deploy.status import status
from launch.render import kubernetes
from tests.cluster.watching import Watch
from tests.unit.launch.plan_builders import M2, plan

pytestmark = pytest.mark.slow
SETS = 200


@pytest.mark.usefixtures("leader_worker_set")
def test_200_sets_are_applied_and_read(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    start = time.monotonic()
    documents = [kubernetes.documents(plan(M2, "h200", 8, 2, name=f"m2-{number}")) for number in range(SETS)]
    watch = Watch(cluster, "LeaderWorkerSet")
    watch.start()
    rendered = time.monotonic()
    for one in documents:
        assert {change.action for change in apply.apply(cluster, one)} == {"created"}
    applied = time.monotonic()
    seen = watch.wait_for(SETS)
    for one in documents:
        assert {change.action for change in apply.apply(cluster, one)} == {"unchanged"}
    repeated = time.monotonic()
    assert len(cluster.list("LeaderWorkerSet")) == SETS
    found = status(cluster, "m2-7")
    ended = time.monotonic()
    assert found is not None
    assert found.desired == 1
    times = {
        "render": rendered - start,
        "apply": applied - rendered,
        "repeat": repeated - applied,
        "read": ended - repeated,
        "seen after the last apply": seen - applied,
        "events of the watch": watch.events,
        "bytes of the watch": watch.received,
    }
    print({name: round(seconds, 2) for name, seconds in times.items()})
    for name, seconds in times.items():
        record_property(name, seconds)
    assert times["render"] < 20
