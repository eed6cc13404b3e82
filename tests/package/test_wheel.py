"""The installed wheel: complete, usable from any folder, and never written to."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.package.conftest import UV, Installed

LOG = ROOT / "tests" / "unit" / "launch" / "diagnosis" / "logs" / "out-of-memory.log"
PACKAGES = ("commands", "images", "launch")


def contents(folder: Path) -> dict[str, int]:
    """Every file below a folder and when it was changed, without cached bytecode and data (docs/reference/files.md)."""
    cached = {"__pycache__", "checked"}
    files = (path for path in folder.rglob("*") if path.is_file() and not cached & set(path.parts))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


@pytest.fixture(autouse=True)
def nothing_written_where_it_runs(installed: Installed) -> Iterator[None]:
    """Every command leaves the environment, the working folder and the home as they were."""
    watched = (installed.environment, installed.folder, installed.home)
    before = [contents(folder) for folder in watched]
    yield
    assert [contents(folder) for folder in watched] == before


def test_wheel_has_every_file_of_its_packages(wheel: Path) -> None:
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert len(files) > 250
    assert files - packed == set()
    assert {path for path in packed if path.startswith(PACKAGES)} - files == set()


def test_wheel_metadata_names_licence_and_program(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.partition("/")[0] for name in archive.namelist() if name.startswith("slipway-")}
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        licence = archive.read(f"{info}/licenses/LICENSE").decode()
        scripts = archive.read(f"{info}/entry_points.txt").decode()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in licence
    assert "slipway = commands.entry_point:main" in scripts


def test_installed_dependencies_are_complete(installed: Installed) -> None:
    python = installed.environment / "bin" / "python"
    done = subprocess.run(
        [UV, "pip", "check", "--python", python], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_slipway_version(installed: Installed) -> None:
    done = installed.run("--version")
    assert (done.returncode, done.stdout.strip().lower()) == (0, "slipway 0.1.0"), done.stderr


def test_bare_slipway_lists_the_verbs(installed: Installed) -> None:
    done = installed.run()
    assert done.returncode == 0, done.stderr
    assert {"plan", "run", "doctor", "build", "diagnose"} <= set(done.stdout.split())


def test_slipway_plan(installed: Installed) -> None:
    done = installed.run("plan", "--hardware", "h200", "--gpus", "4")
    assert done.returncode == 0, done.stderr
    assert "vllm serve MiniMaxAI/MiniMax-M2" in done.stdout


def test_slipway_doctor(installed: Installed) -> None:
    done = installed.run("doctor", "--format", "json")
    assert done.returncode in (0, 1), done.stderr  # 1: this host lacks something
    assert done.stdout.startswith(("{", "["))


def test_slipway_build_dry_run(installed: Installed) -> None:
    done = installed.run("build", "--platform", "cpu", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "buildx" in done.stdout or "docker build" in done.stdout
    assert str(installed.home) in done.stdout  # the build context


def test_slipway_build_names_the_same_image_as_the_checkout(installed: Installed) -> None:
    """The name holds a hash of every file that goes into the image."""
    from images.build.local_name import reference
    from images.lock.lockfile import load

    code = (
        "from images.build.local_name import reference; from images.lock.lockfile import load;"
        "print(reference(load().image('cpu')))"
    )
    python = str(installed.environment / "bin" / "python")
    done = subprocess.run(
        [python, "-c", code], cwd=installed.folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == reference(load().image("cpu"))


def test_slipway_diagnose(installed: Installed) -> None:
    done = installed.run("diagnose", str(LOG))
    assert "memory" in done.stdout, done.stderr


def test_slipway_names_itself_in_messages(installed: Installed) -> None:
    done = installed.run("verify", "MiniMaxAI/MiniMax-M2")
    assert done.returncode == 1
    assert "slipway fetch" in done.stderr
    assert "invoke" not in done.stderr


def test_slipway_refuses_the_state_of_a_newer_version(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "version").write_text("99\n")
    done = installed.run("plan", "--hardware", "h200", SLIPWAY_STATE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "written by a newer Slipway" in done.stderr


def test_slipway_names_a_state_folder_that_cannot_be_written(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = installed.run("build", "--platform", "cpu", SLIPWAY_STATE_DIR=str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
