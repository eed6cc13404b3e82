"""`invoke build` as a user sees it: interrupted, without an engine or a builder, with wrong options."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from images import capabilities
from images.build import base_image
from images.build.pipeline import BuildOptions, build
from images.lock.lockfile import load
from tests.images import stand_in
from tests.invocation import INTERRUPTIBLE, ROOT, invoke

if TYPE_CHECKING:
    from docker import DockerClient

ROCM = load().image("rocm")


@pytest.fixture(autouse=True)
def recorded() -> None:
    """These tests record no image as tested."""


@pytest.fixture
def base(engine: DockerClient) -> Iterator[str]:
    """A stand-in for ROCm's base; it and the images built on it are removed at the end."""
    tag = stand_in.build(engine, ROCM)
    yield tag
    for image in engine.images.list():
        if any("-above-" in name and "vllm-rocm" in name for name in image.tags):
            engine.images.remove(str(image.id), force=True)
    engine.images.remove(tag, force=True)


def slipway_tags(engine: DockerClient) -> set[str]:
    """The tags of Slipway's CPU and ROCm images."""
    tags = {tag for image in engine.images.list() for tag in image.tags}
    return {tag for tag in tags if tag.startswith(("slipway/vllm-cpu", "slipway/vllm-rocm"))}


def image_ids(engine: DockerClient) -> set[str]:
    return {str(image.id) for image in engine.images.list()}


def debian_base(engine: DockerClient) -> str:
    return base_image.ensure(engine, load().image("cpu"), ignore)


def ignore(done: float, total: float | None, note: str) -> None:
    """Show no progress."""


def wait_for(text: str, lines: Iterable[str]) -> None:
    assert any(text in line for line in lines), f"the build ended without '{text}'"


def test_ctrl_c_during_a_build_leaves_no_tag_and_no_process(engine: DockerClient, cpu_image: str) -> None:
    """The slow layer is running; Ctrl-C goes to the whole process group, as a terminal sends it."""
    before, base = slipway_tags(engine), debian_base(engine)
    argv = [sys.executable, "-m", "invoke", "build", "--platform", "cpu", "--no-cache", "--base", base]
    process = subprocess.Popen(
        [*INTERRUPTIBLE, *argv],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr
        wait_for("install.sh", process.stderr)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out == ""
    assert slipway_tags(engine) == before
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_ctrl_c_while_capabilities_are_read_leaves_no_image(
    engine: DockerClient, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(client: DockerClient, image: str) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(capabilities, "read", interrupted)
    before = image_ids(engine)
    with pytest.raises(KeyboardInterrupt):
        build(engine, ROCM, BuildOptions(base=base), ignore)
    assert image_ids(engine) == before


def test_a_build_without_changes_returns_the_same_image_at_once(engine: DockerClient, base: str) -> None:
    """The limit of two seconds is for Slipway's own CPU time, not for the builder's."""
    options = BuildOptions(base=base)
    first = build(engine, ROCM, options, ignore)
    before = time.process_time()
    again = build(engine, ROCM, options, ignore)
    assert (first.fresh, again.fresh, again.id) == (True, False, first.id)
    assert time.process_time() - before < 2


def test_json_describes_the_image(cpu_image: str) -> None:
    built = invoke("build", "--platform", "cpu", "--format", "json").json
    assert built["tag"] == cpu_image
    assert built["id"].startswith("sha256:")
    assert built["size"] > 0
    assert set(built) >= {"digest", "seconds", "base", "vllm_version"}


def test_a_failed_step_is_shown_with_its_output(engine: DockerClient) -> None:
    before, base = slipway_tags(engine), "slipway/there-is-no-such-base:1"
    done = invoke("build", "--platform", "rocm", "--base", base)
    assert done.code == 1
    assert "the build failed" in done.err
    assert base in done.err
    assert "Traceback" not in done.err
    assert slipway_tags(engine) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--platform", "rocn"), "unknown platform 'rocn'"),
        (("--platform", "cuda-wheel"), "--platform cuda --channel wheel"),
        (("--platform", "cuda", "--channel", "weel"), "Did you mean `wheel`?"),
        (("--platform", "cpu", "--channel", "nightly"), "unknown cpu channel 'nightly'"),
        (("--backend", "kaniko"), "'kaniko'"),
        (("--format", "xml"), "xml"),
        (("--lock", "/no/such/lock.yaml"), "is missing"),
    ],
)
def test_a_wrong_option_is_refused(engine: DockerClient, options: tuple[str, ...], message: str) -> None:
    done = invoke("build", *options)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_missing_engine_is_reported(tmp_path: Path) -> None:
    done = invoke("build", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.code == 1
    assert "no container engine answers" in done.err


def test_a_missing_builder_is_reported(engine: DockerClient, tmp_path: Path) -> None:
    """PATH has neither docker nor podman: the engine's socket answers, but no program can build."""
    (tmp_path / "python3").symlink_to(sys.executable)
    (tmp_path / "env").symlink_to("/usr/bin/env")
    done = invoke("build", PATH=str(tmp_path))
    assert done.code == 1
    assert re.search("no BuildKit builder", done.err)


@pytest.mark.slow
def test_no_layer_contains_a_secret_of_the_build(
    engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings that uv gets are mounted for the build; the saved image does not contain them."""
    secret = "hunter2.example"
    monkeypatch.setenv("NO_PROXY", secret)
    built = build(engine, load().image("cpu"), BuildOptions(base=debian_base(engine), no_cache=True), ignore)
    try:
        assert not any(secret.encode() in chunk for chunk in engine.images.get(built.tag).save())
    finally:
        engine.images.remove(built.tag, force=True)


def test_a_dry_run_prints_the_command(engine: DockerClient) -> None:
    command = invoke("build", "--platform", "rocm", "--dry-run").ok().out
    assert "docker" in command
    assert f"BASE={ROCM.pins.base.reference}" in command
