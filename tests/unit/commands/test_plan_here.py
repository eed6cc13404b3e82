"""A plan for the GPUs of this host, which here are those of a stand-in for NVML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.invocation import Said, invoke

H200 = "NVIDIA H200;90;143771;4;0;ok"


@pytest.fixture
def plan(nvml_library: Path) -> Callable[..., Said]:
    """`invoke plan` on a host with these GPUs, without an engine."""

    def ask(gpus: list[str], *words: str) -> Said:
        env = {"LD_LIBRARY_PATH": str(nvml_library), "NVML_GPUS": "\n".join(gpus)}
        return invoke("plan", *words, **env, DOCKER_HOST="unix:///nowhere.sock")

    return ask


def test_gpus_are_taken_by_their_uuids_and_the_layout_follows(plan):
    found = plan([H200] * 8, "--gpus", "4", "--format", "json").json
    assert found["hardware"] == "h200"
    assert found["layout"]["tp"] == 4
    assert len(found["container"]["gpu_ids"]) == 4
    assert all(name.startswith("GPU-") for name in found["container"]["gpu_ids"])


def test_all_of_a_node_are_data_and_expert_parallel(plan):
    found = plan([H200] * 8, "--format", "json").json
    assert (found["layout"]["dp"], found["layout"]["ep"]) == (8, 8)


def test_named_gpus_are_those(plan):
    every = plan([H200] * 4, "--gpus", "4", "--format", "json").json["container"]["gpu_ids"]
    assert plan([H200] * 4, "--gpus", "0,1,2,3", "--format", "json").json["container"]["gpu_ids"] == every


def test_more_than_there_are_is_refused(plan):
    said = plan([H200] * 4, "--gpus", "8")
    assert said.code in (1, 2)
    assert "4" in said.err


def test_a_gpu_that_somebody_uses_is_not_taken(plan):
    busy = "NVIDIA H200;90;143771;90000;0;ok"
    found = plan([busy, *[H200] * 4], "--gpus", "4", "--format", "json").json
    assert len(found["container"]["gpu_ids"]) == 4
    refused = plan([busy, *[H200] * 4], "--gpus", "0,1,2,3")
    assert refused.code == 2
    assert "GPU 0 is taken" in refused.err
