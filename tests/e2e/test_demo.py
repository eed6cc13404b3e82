"""The first command of the README, from the build to the stop."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import MODEL
from tests.e2e.conftest import NAME
from tests.invocation import invoke


def test_demo_runs_every_step_and_leaves_no_server(cpu_image: str, tmp_path: Path) -> None:
    finished = invoke("demo", HF_HUB_CACHE=str(tmp_path)).ok()
    commands = [line.removeprefix("$ ").split()[1] for line in finished.err.splitlines() if line[:2] == "$ "]
    assert commands == ["build", "fetch", "plan", "run", "chat", "bench", "stop"]
    assert "serves at http://127.0.0.1:" in finished.out
    assert "failed requests:                       0" in finished.out
    servers = invoke("ps", "--format", "json").json
    assert [server for server in servers if server["model"] == MODEL] == []
    assert MODEL in invoke("models", HF_HUB_CACHE=str(tmp_path)).ok().out


def test_demo_uses_its_running_server_again_and_replaces_one_with_another_plan(
    cpu_image: str, tmp_path: Path
) -> None:
    settings = {"HF_HUB_CACHE": str(tmp_path), "SLIPWAY_STATE_DIR": str(tmp_path / "state")}
    try:
        invoke("demo", "--keep", **settings).ok()
        assert f"{NAME}: already running" in invoke("demo", "--keep", **settings).ok().err
        other = settings | {"HF_HUB_CACHE": str(tmp_path / "other")}
        replaced = invoke("demo", "--keep", **other).ok().err
        assert "--replace" in replaced
        assert f"{NAME}: started" in replaced
    finally:
        # Not by name: `--all` stops only servers of this test's state folder, not one that a user has.
        invoke("stop", "--all", **settings)
