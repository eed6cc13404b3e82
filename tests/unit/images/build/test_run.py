"""A builder that fails, and builds that are refused before they start."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from errors import Failed
from images.build import backend, pipeline
from images.build import run as build_run
from images.build.backend import Builder, BuildRequest
from images.lock.lockfile import load
from tests.invocation import invoke

OUTPUT = """\
#2 [internal] load .dockerignore
#2 transferring context: 2B done
#2 DONE 0.0s
#3 [internal] load metadata for docker.io/no-such/thing:1
#3 ERROR: pull access denied
------
 > [internal] load metadata for docker.io/no-such/thing:1:
------
failed to solve with frontend dockerfile.v0: pull access denied
"""


def ignore(done: float, total: float | None, note: str) -> None:
    """Show no progress."""


def failing_builder(folder: Path, output: str) -> Builder:
    script = folder / "builder"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{output}END\nexit 1\n")
    script.chmod(0o755)
    return Builder("buildkit", (str(script),))


def test_run_explains_a_failed_build_with_the_lines_of_the_failed_step(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"the build failed \(exit 1\)") as failed:
        build_run.run(failing_builder(tmp_path, OUTPUT), BuildRequest(tmp_path), ignore)
    assert failed.value.why.splitlines() == [
        "#3 ERROR: pull access denied",
        "    > [internal] load metadata for docker.io/no-such/thing:1:",
        "    failed to solve with frontend dockerfile.v0: pull access denied",
    ]


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("write /x: no space left on device", "free disk space"),
        ("dns error: Temporary failure in name resolution", "check the network"),
        ("something else", "--no-cache"),
    ],
)
def test_run_suggests_a_fix(tmp_path: Path, line: str, fix: str) -> None:
    with pytest.raises(Failed) as failed:
        build_run.run(failing_builder(tmp_path, f"#3 ERROR: {line}\n"), BuildRequest(tmp_path), ignore)
    assert fix in failed.value.fix


class Engine:
    """An engine that answers a ping as Docker or as podman."""

    base_url = "http+docker://localhost"

    def __init__(self, podman: bool) -> None:
        self.api = self
        self.headers = {"Libpod-API-Version": "5"} if podman else {}

    def head(self, url: str) -> Engine:
        return self


@pytest.mark.parametrize("name", ["podman", ""])
def test_podman_builds_for_podman_and_not_for_docker(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(backend, "available", lambda: iter([Builder("podman", ("podman", "build"))]))
    docker: Any = Engine(podman=False)
    podman: Any = Engine(podman=True)
    with pytest.raises(Failed) as failed:
        pipeline.choose_builder(docker, name)
    assert "not in Docker's store" in failed.value.why
    assert pipeline.choose_builder(podman, name).name == "podman"


def test_fill_fails_if_the_context_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(Failed, match="cannot write the build context") as failed:
        pipeline.fill(tmp_path / "context", load().image("rocm"), {}, tmp_path)
    assert "No space left on device" in failed.value.why


def test_a_dry_run_refuses_an_unknown_backend() -> None:
    done = invoke("build", "--dry-run", "--backend", "kaniko")
    assert (done.code, done.out) == (2, "")
    assert "unknown --backend value 'kaniko'" in done.err
