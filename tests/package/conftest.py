"""A wheel of this checkout, installed with its locked dependencies in a virtual environment outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

UV = Path(sys.executable).with_name("uv")
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "results", "tests")


@dataclass(frozen=True)
class Installed:
    """The `slipway` program of a virtual environment, and an empty folder and a home to run it from."""

    environment: Path
    folder: Path
    home: Path

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `slipway` as a new user of this machine: no clone, no settings, no Hub in reach."""
        argv = [str(self.environment / "bin" / "slipway"), *words]
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.home.parent),
            "HF_ENDPOINT": "http://127.0.0.1:9",  # the discard port: refused at once
            **more,
        }
        return subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )


def _uv(*words: str | Path) -> None:
    done = subprocess.run([UV, *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a copy of the checkout because a build leaves folders behind."""
    source = tmp_path_factory.mktemp("source") / "slipway"
    shutil.copytree(ROOT, source, ignore=_not_copied)
    _uv("build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, source)
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Leave out what is not part of the source; `images/build` is, `build` at the top is not."""
    top = Path(folder) == ROOT
    return NOT_COPIED(folder, [name for name in names if top or name != "build"])


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    """The wheel in a virtual environment with exactly the locked dependencies."""
    place = tmp_path_factory.mktemp("installed")
    environment = place / "venv"
    python = environment / "bin" / "python"
    _uv("venv", "--quiet", "--python", sys.executable, environment)
    locked = ROOT / "requirements" / "run.txt"
    _uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", locked)
    _uv("pip", "install", "--quiet", "--python", python, "--no-deps", "--no-cache", wheel)
    for name in ("empty", "home"):
        (place / name).mkdir()
    return Installed(environment, place / "empty", place / "home")
