"""`invoke doctor` as a user calls it, against a real engine and against none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

# Root reads everything by two capabilities; without them file modes hold for it as for everybody.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
# Names that must not decide the outcome, and a Hub that answers nobody (a closed port of this machine).
QUIET = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "", "https_proxy": "", "HTTPS_PROXY": ""}


def doctor(
    tmp_path: Path, *words: str, powerless: bool = False, **env: str
) -> tuple[int, dict[str, Any], str]:
    """Exit status, the JSON document, and stderr."""
    asked = [
        *(WITHOUT_RIGHTS if powerless else ()),
        sys.executable,
        "-m",
        "invoke",
        "doctor",
        "--format",
        "json",
        *words,
    ]
    given = {**os.environ, **QUIET, "HF_HOME": str(tmp_path / "hf"), **env}
    done = subprocess.run(asked, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def found(report: dict[str, Any], check: str) -> list[str]:
    return [finding["severity"] for finding in report["findings"] if finding["check"] == check]


def test_a_machine_with_an_engine(engine: Any, tmp_path: Path) -> None:
    status, report, _ = doctor(tmp_path, "--platform", "cpu")
    assert found(report, "engine") == ["ok"]
    assert found(report, "buildkit") == ["ok"]
    assert status == (1 if report["counts"]["error"] else 0)


def test_no_engine_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    status, report, said = doctor(tmp_path, "--platform", "cpu", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    (finding,) = [one for one in report["findings"] if one["check"] == "engine"]
    assert (status, finding["severity"]) == (1, "error")
    assert finding["remedy"]
    assert "would stop a launch on cpu" in said


def test_a_user_who_may_nothing(tmp_path: Path) -> None:
    """Neither the engine's socket nor the cache can be opened, and both are said."""
    home, path = tmp_path / "hf", tmp_path / "engine.sock"
    (home / "hub").mkdir(parents=True)
    home.chmod(0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        try:
            status, report, _ = doctor(
                tmp_path, "--platform", "cpu", DOCKER_HOST=f"unix://{path}", powerless=True
            )
        finally:
            home.chmod(0o700)
    seen = {one["check"]: one for one in report["findings"] if one["severity"] == "error"}
    assert status == 1
    assert "Permission denied" in seen["engine"]["seen"]
    assert "group" in seen["engine"]["remedy"]
    assert "hub cache" in seen


def test_an_engine_that_hangs_is_said_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "engine.sock"))
        silent.listen()
        _, report, _ = doctor(tmp_path, "--platform", "cpu", DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
    wrong = [one["seen"] for one in report["findings"] if one["severity"] == "error"]
    assert wrong == ["the engine does not answer in time"]


def test_fix_makes_the_cache_and_says_so(engine: Any, tmp_path: Path) -> None:
    _, report, _ = doctor(tmp_path, "--platform", "cpu", "--fix")
    assert report["fixed"] == [f"fixed hub cache: {tmp_path}/hf/hub: made"]
    assert (tmp_path / "hf/hub").is_dir()
    assert found(report, "hub cache") == ["ok"]


def test_what_is_no_platform_and_no_port(tmp_path: Path) -> None:
    for words in (["--platform", "tpu"], ["--port", "70000"]):
        asked = [sys.executable, "-m", "invoke", "doctor", *words]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
