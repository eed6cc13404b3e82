"""Data parallel ranks in two containers, each with an API server for its own ranks: either answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_two_nodes import ROLES, answers, two_nodes, wait

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("cpu_image")
def test_every_node_answers(engine: DockerClient, hub_cache: Path, tmp_path: Path) -> None:
    with two_nodes(engine, hub_cache, tmp_path, "--set", "--data-parallel-hybrid-lb=true") as group:
        wait(f"http://127.0.0.1:{group.worker_port}", [group.container(role) for role in ROLES])
        for port in (group.port, group.worker_port):
            answers(port)
        for role in ROLES:
            assert b"POST /v1/chat/completions" in group.container(role).logs()
