"""The example program launches real vLLM without the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from tests.conftest import MODEL, ROOT, SERVER
from tests.e2e.conftest import free_port


def run_example(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the example as a program whose environment has Slipway."""
    argv = [sys.executable, str(ROOT / "examples" / "launch_server.py"), *words]
    found = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(argv, env=found, capture_output=True, text=True, timeout=600, check=False)


def test_example_prints_an_answer_and_stops_its_server(
    cpu_image: str, settings: dict[str, str], engine: Any
) -> None:
    options = ("--platform", "cpu", "--name", SERVER, "--port", free_port())
    done = run_example(MODEL, *options, **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "first generation ..." in done.stderr
    assert engine.containers.list(all=True, filters={"name": f"^/{SERVER}$"}) == []


def test_example_ends_with_the_message_and_code_of_an_error(settings: dict[str, str]) -> None:
    done = run_example("slipway/no-such-model", "--platform", "cpu", **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
