"""Run `invoke doctor` as a user does, with and without a container engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

# Without these two capabilities, file modes apply to root too.
WITHOUT_CAPABILITIES = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)
# Variables that must not influence the result, and a Hub that does not answer (a closed port).
ENVIRONMENT = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "", "https_proxy": "", "HTTPS_PROXY": ""}


def doctor(
    tmp_path: Path, *options: str, unprivileged: bool = False, **env: str
) -> tuple[int, dict[str, Any], str]:
    """Return exit status, JSON output and stderr."""
    argv = [
        *(WITHOUT_CAPABILITIES if unprivileged else ()),
        sys.executable,
        "-m",
        "invoke",
        "doctor",
        "--format",
        "json",
        *options,
    ]
    environment = {**os.environ, **ENVIRONMENT, "HF_HOME": str(tmp_path / "hf"), **env}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def severities(report: dict[str, Any], check: str) -> list[str]:
    return [finding["severity"] for finding in report["findings"] if finding["check"] == check]


def test_doctor_finds_the_engine(engine: Any, tmp_path: Path) -> None:
    status, report, _ = doctor(tmp_path, "--platform", "cpu")
    assert severities(report, "engine") == ["ok"]
    assert severities(report, "buildkit") == ["ok"]
    assert status == (1 if report["counts"]["error"] else 0)


def test_doctor_reports_a_missing_engine_with_a_fix(tmp_path: Path) -> None:
    status, report, stderr = doctor(tmp_path, "--platform", "cpu", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    (finding,) = [one for one in report["findings"] if one["check"] == "engine"]
    assert (status, finding["severity"]) == (1, "error")
    assert finding["fix"]
    assert "would stop a launch on cpu" in stderr


def test_doctor_reports_missing_permissions(tmp_path: Path) -> None:
    """The user can open neither the socket of the engine nor the cache."""
    home, path = tmp_path / "hf", tmp_path / "engine.sock"
    (home / "hub").mkdir(parents=True)
    home.chmod(0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        try:
            status, report, _ = doctor(
                tmp_path, "--platform", "cpu", DOCKER_HOST=f"unix://{path}", unprivileged=True
            )
        finally:
            home.chmod(0o700)
    errors = {one["check"]: one for one in report["findings"] if one["severity"] == "error"}
    assert status == 1
    assert "Permission denied" in errors["engine"]["what"]
    assert "group" in errors["engine"]["fix"]
    assert "hub cache" in errors


def test_doctor_reports_an_engine_that_hangs_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "engine.sock"))
        silent.listen()
        _, report, _ = doctor(tmp_path, "--platform", "cpu", DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
    errors = [one["what"] for one in report["findings"] if one["severity"] == "error"]
    assert errors == ["the engine does not answer in time"]


def test_doctor_fix_creates_the_cache(engine: Any, tmp_path: Path) -> None:
    _, report, _ = doctor(tmp_path, "--platform", "cpu", "--fix")
    assert report["fixed"] == [f"fixed hub cache: created {tmp_path}/hf/hub"]
    assert (tmp_path / "hf/hub").is_dir()
    assert severities(report, "hub cache") == ["ok"]


def test_doctor_refuses_an_unknown_platform_and_an_invalid_port(tmp_path: Path) -> None:
    for options in (["--platform", "tpu"], ["--port", "70000"]):
        argv = [sys.executable, "-m", "invoke", "doctor", *options]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
