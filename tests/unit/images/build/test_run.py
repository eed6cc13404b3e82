"""A builder that fails: its words, and a build that could not have worked is not begun."""

from pathlib import Path

import pytest

from errors import Failed
from images.build import backend, pipeline
from images.build import run as build_run
from images.build.backend import Builder, Request

SAID = """\
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


def quiet(done, total, note):
    """Progress that nobody reads."""


def test_of_a_failed_build_only_what_failed_is_said(tmp_path):
    script = tmp_path / "builder"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{SAID}END\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(Failed, match=r"the build failed \(exit 1\)") as failed:
        build_run.run(Builder("buildkit", (str(script),)), Request(tmp_path), quiet)
    assert failed.value.why.splitlines() == [
        "#3 ERROR: pull access denied",
        "    > [internal] load metadata for docker.io/no-such/thing:1:",
        "    failed to solve with frontend dockerfile.v0: pull access denied",
    ]


def test_podman_does_not_build_for_docker(monkeypatch):
    """Its image would lie in its own store, and Docker would be asked for it in vain."""
    monkeypatch.setattr(backend, "available", lambda: iter([Builder("podman", ("podman", "build"))]))
    for wanted in ("podman", ""):
        monkeypatch.setattr(pipeline, "is_podman", lambda client: False)
        with pytest.raises(Failed) as failed:
            pipeline._tool(None, wanted)
        assert "not in Docker's store" in failed.value.why
    monkeypatch.setattr(pipeline, "is_podman", lambda client: True)
    assert pipeline._tool(None, "").name == "podman"


def test_no_room_for_the_context_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(pipeline, "WORK", Path(tmp_path / "file"))
    with pytest.raises(Failed, match="cannot write what the build needs below"):
        pipeline._fill(tmp_path / "file" / "context", "rocm", pipeline.load().platform("rocm"), {}, tmp_path)


def test_a_dry_run_refuses_an_unknown_backend_too():
    from tests.invocation import invoke

    done = invoke("build", "--dry-run", "--backend", "kaniko")
    assert (done.code, done.out) == (2, "")
    assert "unknown --backend value 'kaniko'" in done.err
