"""Recorded topologies, and a stand-in for the NVML library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, SHARED

RECORDED = SHARED / "hardware"
REPORT = """import json
from dataclasses import asdict
from launch.hardware import nvidia
print(json.dumps(asdict(nvidia.read())))"""


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """Return the folder of a recorded KFD topology; skip if it is not in ../shared."""

    def find(name: str) -> Path:
        if not (RECORDED / name).is_dir():
            pytest.skip(f"the recorded topology {name} is not in ../shared")
        return RECORDED / name

    return find


@pytest.fixture
def nvidia_host(nvml_library: Path) -> Callable[..., dict[str, Any]]:
    """Return the report on GPUs that are described by `name;sm;total MiB;used MiB;group;state` lines."""

    def report(*gpus: str, **more: str) -> dict[str, Any]:
        env = {**os.environ, "LD_LIBRARY_PATH": str(nvml_library), "NVML_GPUS": "\n".join(gpus), **more}
        command = [sys.executable, "-c", REPORT]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return report
