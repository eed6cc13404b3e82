"""`invoke build` as its user meets it: interrupted, without room, without an engine, asked for what is not there."""

import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from errors import Failed
from images.build import base_image, disk
from images.build.pipeline import WORK, BuildOptions, build
from images.lock.lockfile import load
from tests.images import stand_in
from tests.invocation import INTERRUPTIBLE, ROOT, invoke


@pytest.fixture(autouse=True)
def recorded():
    """No image of these tests is recorded."""


@pytest.fixture
def stand(engine):
    """A stand-in for ROCm's base, and whatever was built above it, taken away afterwards."""
    tag = stand_in.build(engine, "rocm")
    yield tag
    for image in engine.images.list():
        if any("-above-" in name and "vllm-rocm" in name for name in image.tags):
            engine.images.remove(image.id, force=True)
    engine.images.remove(tag, force=True)


def names(engine) -> set[str]:
    """Our names for CPU and ROCm images: another build may run on the same engine."""
    found = {name for image in engine.images.list() for name in image.tags}
    return {name for name in found if name.startswith(("slipway/vllm-cpu", "slipway/vllm-rocm"))}


def wait_for(word: str, lines) -> None:
    for line in lines:
        if word in line:
            return
    raise AssertionError(f"the build ended before it said {word}")


def test_ctrl_c_in_the_middle_leaves_no_name_and_no_builder(engine, cpu_image):
    """The slow layer runs; Ctrl-C goes to the whole group, as a terminal sends it."""
    plain = base_image.ensure(engine, "cpu", load().platform("cpu"), lambda *told: None, WORK)
    before = names(engine)
    verb = ("build", "--platform", "cpu", "--no-cache", "--base", plain)
    words = [*INTERRUPTIBLE, sys.executable, "-m", "invoke", *verb]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
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
    assert names(engine) == before
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_ctrl_c_while_the_contract_is_read_leaves_nothing(engine, stand, monkeypatch):
    from images import capabilities

    def interrupted(client, image):
        raise KeyboardInterrupt

    monkeypatch.setattr(capabilities, "read", interrupted)
    before = {image.id for image in engine.images.list()}
    with pytest.raises(KeyboardInterrupt):
        build(engine, "rocm", BuildOptions(base=stand), lambda *told: None)
    assert {image.id for image in engine.images.list()} == before


def test_nothing_changed_is_done_at_once(engine, stand):
    """Two seconds are the promise for our own time; the builder's is its own."""
    options = BuildOptions(base=stand)
    first = build(engine, "rocm", options, lambda *told: None)
    begun = time.process_time()
    again = build(engine, "rocm", options, lambda *told: None)
    assert (first.fresh, again.fresh, again.id) == (True, False, first.id)
    assert time.process_time() - begun < 2


def test_json_says_what_a_program_needs(cpu_image):
    said = invoke("build", "--platform", "cpu", "--format", "json").json
    assert said["tag"] == cpu_image
    assert said["id"].startswith("sha256:")
    assert said["size"] > 0
    assert set(said) >= {"digest", "seconds", "base", "vllm_version"}


def test_a_full_disk_is_noticed_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda place: SimpleNamespace(free=3e9))
    client = SimpleNamespace(info=lambda: {"DockerRootDir": "/"})
    with pytest.raises(Failed, match="not enough disk space to build cpu") as failed:
        disk.check(client, "cpu")
    assert "3.0 GB free" in failed.value.why
    disk.check(SimpleNamespace(info=lambda: {"DockerRootDir": "/elsewhere"}), "cpu")


def test_a_step_that_fails_is_shown_with_its_words(engine):
    before = names(engine)
    broken = {"base": "slipway/there-is-no-such-base:1"}
    done = invoke("build", "--platform", "rocm", "--base", broken["base"])
    assert done.code == 1
    assert "the build failed" in done.err
    assert broken["base"] in done.err
    assert "Traceback" not in done.err
    assert names(engine) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--platform", "rocn"), 2, "unknown platform 'rocn'"),
        (("--backend", "kaniko"), 2, "unknown backend 'kaniko'"),
        (("--format", "xml"), 2, "xml"),
        (("--lock", "/no/such/lock.yaml"), 2, "is missing"),
    ],
)
def test_a_wrong_request_is_one_clear_line(engine, words, code, said):
    done = invoke("build", *words)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def test_no_engine_is_said(tmp_path):
    done = invoke("build", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.code == 1
    assert "no container engine answers" in done.err


def test_no_builder_is_said(tmp_path):
    """A PATH without docker and podman: the engine's socket answers, and nothing builds."""
    (tmp_path / "python3").symlink_to(sys.executable)
    done = invoke("build", PATH=str(tmp_path))
    assert done.code == 1
    assert re.search("no BuildKit builder", done.err)


@pytest.mark.slow
def test_a_secret_of_the_build_reaches_no_layer(engine, monkeypatch):
    """What uv is told about this host is mounted for the build; the image, saved whole, does not contain it."""
    word = "hunter2.example"
    monkeypatch.setenv("NO_PROXY", word)
    plain = base_image.ensure(engine, "cpu", load().platform("cpu"), lambda *told: None, WORK)
    built = build(engine, "cpu", BuildOptions(base=plain, no_cache=True), lambda *told: None)
    try:
        assert not any(word.encode() in piece for piece in engine.images.get(built.tag).save())
    finally:
        engine.images.remove(built.tag, force=True)


def test_the_exact_command_is_shown_without_running_it(engine):
    said = invoke("build", "--platform", "rocm", "--dry-run").ok().out
    assert "docker" in said
    assert f"BASE={load().platform('rocm').base.reference}" in said
