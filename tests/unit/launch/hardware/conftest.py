"""Recorded topologies, and a library that answers like NVML."""

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

RECORDED = ROOT.parent / "shared" / "hardware"
ASK = """import json
from dataclasses import asdict
from launch.hardware import nvidia
print(json.dumps(asdict(nvidia.read())))"""


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """A recorded KFD topology, skipped where the checkout has none beside it."""

    def find(name: str) -> Path:
        if not (RECORDED / name).is_dir():
            pytest.skip(f"the recorded topology {name} is not beside this checkout")
        return RECORDED / name

    return find


@pytest.fixture
def nvidia_host(nvml_library: Path) -> Callable[..., dict[str, Any]]:
    """What the NVIDIA module sees of GPUs given as `name;sm;total MiB;used MiB;group;state` lines."""

    def ask(*gpus: str, **more: str) -> dict[str, Any]:
        env = {**os.environ, "LD_LIBRARY_PATH": str(nvml_library), "NVML_GPUS": "\n".join(gpus), **more}
        asked = [sys.executable, "-c", ASK]
        done = subprocess.run(asked, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return ask
