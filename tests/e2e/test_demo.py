"""The first command of the README, from the build to the stop."""

from __future__ import annotations

from tests.conftest import MODEL
from tests.invocation import invoke


def test_demo_runs_every_step_and_leaves_no_server(cpu_image: str) -> None:
    finished = invoke("demo").ok()
    commands = [line.removeprefix("$ ").split()[1] for line in finished.err.splitlines() if line[:2] == "$ "]
    assert commands == ["build", "fetch", "plan", "run", "chat", "bench", "stop"]
    assert "serves at http://127.0.0.1:" in finished.out
    assert "failed requests:                       0" in finished.out
    servers = invoke("ps", "--format", "json").json
    assert [server for server in servers if server["model"] == MODEL] == []
