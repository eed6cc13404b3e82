"""The program of the Job: one file with Slipway's own modules, which needs few packages."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from launch.deploy.fetch_program import program

LARGEST = 300_000  # bytes; a ConfigMap has 1 MiB for this and the list of files
WITHOUT = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; import runpy; "


def test_equal_modules_make_equal_bytes() -> None:
    first = program()
    program.cache_clear()
    assert program() == first
    assert len(first) < LARGEST


def test_it_has_no_command_and_no_engine() -> None:
    names = zipfile.ZipFile(io.BytesIO(program())).namelist()
    assert "launch/weights/fetch_listed.py" in names
    assert not [name for name in names if name.startswith(("commands", "launch/engine", "launch/deploy"))]


def test_it_starts_without_any_package(tmp_path: Path) -> None:
    """It fails only at the manifest, which does not exist."""
    file = tmp_path / "fetch.zip"
    file.write_bytes(program())
    code = f"{WITHOUT}sys.argv = ['fetch', '/missing']; runpy.run_path({str(file)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert "cannot read the list of files '/missing'" in done.stdout, done.stderr
