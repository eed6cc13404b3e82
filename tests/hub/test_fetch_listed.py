"""The program of the Job, run as a process of its own against a Hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launch.deploy.fetch_program import program
from launch.weights.manifest import Manifest
from launch.weights.snapshot import require_complete
from launch.weights.sources.hub import Hub
from tests.hub.conftest import MODEL, QUICK
from tests.hub.faults import serve_folder


def listing(url: str) -> Manifest:
    return Hub(MODEL, url, QUICK).manifest("main")


def fetch(folder: Path, listed: Manifest, url: str, **variables: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the program; return its exit status and what it printed."""
    (folder / "fetch.zip").write_bytes(program())
    (folder / "manifest.json").write_text(json.dumps(listed.as_dict()))
    env = {
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        "HF_ENDPOINT": url,
        "HF_HUB_CACHE": str(folder / "hub"),
        "SLIPWAY_STATE_DIR": str(folder / "state"),
        **variables,
    }
    words = [sys.executable, "-B", str(folder / "fetch.zip"), str(folder / "manifest.json")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=env, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_files_of_a_list_are_fetched_and_verified(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        listed = listing(hub.url)
        status, lines = fetch(tmp_path, listed, hub.url)
        again, second = fetch(tmp_path, listed, hub.url)
    assert (status, again) == (0, 0)
    assert lines[-1] == {"commit": listed.commit, "files": 6, "fetched": listed.size}
    assert lines[0].keys() == {"done", "total", "note"}
    assert second == [{"commit": listed.commit, "files": 6, "fetched": 0}]
    assert require_complete(MODEL, "main", tmp_path / "hub").commit == listed.commit


def test_another_content_is_reported_and_not_published(folder: Path, tmp_path: Path) -> None:
    with serve_folder(folder) as hub:
        listed = listing(hub.url)
        wrong = listed.with_entries([type(listed.entries[0])("config.json", 700, "0" * 40)])
        status, lines = fetch(tmp_path, wrong, hub.url)
    assert status == 1
    assert "files have the wrong content: config.json" in lines[-1]["error"]
    assert not list((tmp_path / "hub").glob("models--*/snapshots/*/config.json"))


@pytest.mark.parametrize("text", ["{}", '{"format": 1}', "nothing"])
def test_a_list_that_is_damaged_is_refused(tmp_path: Path, text: str) -> None:
    from launch.weights.fetch_listed import main

    file = tmp_path / "manifest.json"
    file.write_text(text)
    assert main([str(file)], {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path)}) == 1
