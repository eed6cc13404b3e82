"""Queue, scheduler, topology and RDMA adapters of a server, as labels, annotations and fields of its pods."""

from __future__ import annotations

from typing import Any

import pytest

from launch.render import kubernetes
from launch.render.cluster_settings import ClusterSettings
from tests.unit.launch.plan_builders import M2, plan

KUEUE, VOLCANO, KAI = "kueue.x-k8s.io/queue-name", "scheduling.volcano.sh/queue-name", "kai.scheduler/queue"


def workload(nodes: int = 1, access: str = "least", **settings: Any) -> dict[str, Any]:
    return kubernetes.documents(plan(M2, "h200", 8, nodes, access=access), ClusterSettings(**settings))[0]


def test_kueue_reads_the_label_of_the_workload_alone() -> None:
    """The label on its pods too would make each of them a workload of its own."""
    made = workload(queue="team-a")
    assert made["metadata"]["labels"][KUEUE] == "team-a"
    assert KUEUE not in made["spec"]["template"]["metadata"]["labels"]
    assert "schedulerName" not in made["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("scheduler", "place", "key"), [("volcano", "annotations", VOLCANO), ("kai-scheduler", "labels", KAI)]
)
def test_a_scheduler_reads_the_queue_of_the_pods(scheduler: str, place: str, key: str) -> None:
    made = workload(nodes=2, scheduler=scheduler, queue="team-a")
    group = made["spec"]["leaderWorkerTemplate"]
    for template in (group["leaderTemplate"], group["workerTemplate"]):
        assert template["metadata"][place][key] == "team-a"
        assert template["spec"]["schedulerName"] == scheduler


def test_without_settings_nothing_is_added() -> None:
    made = workload(nodes=2)
    assert "annotations" not in made["metadata"]
    assert "imagePullSecrets" not in made["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]


def test_a_group_has_a_rack_for_itself() -> None:
    made = workload(nodes=2, topology="topology.example/rack")
    key = "leaderworkerset.sigs.k8s.io/exclusive-topology"
    assert made["metadata"]["annotations"] == {key: "topology.example/rack"}


def test_adapters_come_from_a_device_plugin_if_it_is_known() -> None:
    """Without its resource the folder of the devices is mounted, which Pod Security `baseline` refuses."""
    by_plugin, by_path = (
        workload(access="rdma", rdma=name)["spec"]["template"]["spec"] for name in ("rdma/ib", "")
    )
    (container,) = by_plugin["containers"]
    assert container["resources"]["requests"]["rdma/ib"] == container["resources"]["limits"]["rdma/ib"] == "1"
    assert container["securityContext"]["capabilities"]["add"] == ["IPC_LOCK"]
    assert not [one for one in by_plugin["volumes"] if "hostPath" in one]
    assert [one["hostPath"]["path"] for one in by_path["volumes"] if "hostPath" in one] == ["/dev/infiniband"]


def test_a_plan_without_rdma_asks_for_none() -> None:
    (container,) = workload(rdma="rdma/ib")["spec"]["template"]["spec"]["containers"]
    assert "rdma/ib" not in container["resources"]["limits"]
