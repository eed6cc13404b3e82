"""`invoke plan` on a machine with GPUs: the plan is for them and contains exactly those that it uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

HOST = "\n".join(["NVIDIA H200;90;143771;4;1;ok"] * 8)
Plan = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def plan(nvml_library: Path, tmp_path: Path) -> Plan:
    """Run `invoke plan` with eight H200 and no engine; return exit status, JSON and stderr."""

    def run(*options: str, gpus: str = HOST) -> tuple[int, Any, str]:
        env = {**os.environ, "LD_LIBRARY_PATH": str(nvml_library), "NVML_GPUS": gpus,
               "DOCKER_HOST": f"unix://{tmp_path}/none"}  # fmt: skip
        command = [sys.executable, "-m", "invoke", "plan", "--format", "json", *options]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    return run


def ids(*indices: int) -> list[str]:
    return [f"GPU-00000000-0000-0000-0000-{index:012}" for index in indices]


def test_plan_with_a_number_of_gpus(plan: Plan) -> None:
    _, made, _ = plan("--gpus", "4")
    assert (made["hardware"], made["layout"]["tp"]) == ("h200", 4)
    assert made["container"]["gpu_ids"] == ids(0, 1, 2, 3)


def test_plan_with_a_list_of_gpus(plan: Plan) -> None:
    _, made, _ = plan("--gpus", "2,7")
    assert made["container"]["gpu_ids"] == ids(2, 7)


def test_plan_uses_all_free_gpus(plan: Plan) -> None:
    busy = HOST.replace("143771;4;1;ok", "143771;90000;1;busy", 4)
    _, made, _ = plan(gpus=busy)
    assert made["container"]["gpu_ids"] == ids(4, 5, 6, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "9"], "--gpus 9: of 8 GPUs, 8"),
        (["--gpus", "8,9"], "there is no GPU 8"),
        (["--gpus", "x"], "(got 'x')"),
        (["--gpus", "0,2", "--hardware", "h200"], "--gpus must be"),
        (["--platform", "rocm"], "this machine has no GPU for rocm"),
        (["--listen", "localhost"], "--listen 'localhost' is not an IP address"),
        (["--cdi", "yes"], "no CDI spec names these GPUs"),
        (["--cdi", "maybe"], "unknown --cdi value"),
    ],
)
def test_plan_refuses_without_a_traceback(plan: Plan, options: list[str], message: str) -> None:
    status, _, stderr = plan(*options)
    assert status in (1, 2)
    assert message in stderr
    assert "Traceback" not in stderr
