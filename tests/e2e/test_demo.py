"""The README's first command, from the build to the stop."""

from __future__ import annotations

from tests.invocation import invoke


def test_the_demo_goes_the_whole_way_and_leaves_nothing_running(cpu_image):
    said = invoke("demo").ok()
    shown = [line.removeprefix("$ invoke ") for line in said.err.splitlines() if line.startswith("$ invoke ")]
    assert [words.split()[0] for words in shown] == ["build", "fetch", "plan", "run", "chat", "bench", "stop"]
    assert "serves at http://127.0.0.1:" in said.out
    assert "failed requests:                       0" in said.out
    left = invoke("ps", "--format", "json").json
    assert [server for server in left if server["model"] == "slipway/MiniMax-M2-tiny"] == []
