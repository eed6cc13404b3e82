"""The same commands on podman through its Docker-compatible socket, with its own storage and settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SERVER
from tests.engine.conftest import Run
from tests.invocation import invoke

# Needed on a host without systemd or with low limits; harmless on others.
SETTINGS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "{runtime}"
events_logger = "file"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""
START_SECONDS = 10


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory, stand_in: str) -> Iterator[dict[str, str]]:
    """The variables that select a podman with its own storage, which has the stand-in image."""
    if not shutil.which("podman"):
        pytest.skip("podman is not installed: apt-get install podman")
    folder = tmp_path_factory.mktemp("podman")
    env = settings(folder)
    image = subprocess.run(["docker", "save", stand_in], check=True, capture_output=True).stdout
    podman_cli(env, "load", data=image)
    trial = podman_cli(env, "run", "--rm", "--entrypoint", "true", f"localhost/{stand_in}")
    if trial.returncode:
        pytest.skip(f"podman cannot start a container on this host: {trial.stderr.decode()[-300:]}")
    service = subprocess.Popen(
        ["podman", "system", "service", "--time", "0", env["DOCKER_HOST"]], env={**os.environ, **env}
    )
    try:
        wait_for(folder / "podman.sock")
        yield env
    finally:
        service.terminate()
        service.wait()
        remove = ("system", "reset", "--force") if os.getuid() == 0 else ("unshare", "rm", "-rf", str(folder))
        podman_cli(env, *remove)
        if os.getuid() == 0:  # podman leaves the private mount of its storage
            subprocess.run(["umount", "-l", str(folder / "root/overlay")], check=False, capture_output=True)


def settings(folder: Path) -> dict[str, str]:
    (folder / "containers.conf").write_text(
        SETTINGS.format(runtime="runc" if shutil.which("runc") else "crun")
    )
    (folder / "storage.conf").write_text(STORAGE.format(folder=folder))
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "DOCKER_HOST": f"unix://{folder}/podman.sock",
    }


def podman_cli(env: dict[str, str], *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv, environment = ["podman", *words], {**os.environ, **env}
    return subprocess.run(argv, env=environment, input=data, capture_output=True, check=False)


def wait_for(socket: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not socket.exists():
        if time.monotonic() > deadline:
            pytest.fail("podman's service does not start")
        time.sleep(0.1)


@pytest.fixture
def run_on_podman(podman: dict[str, str], run: Run, stand_in: str) -> Iterator[Run]:
    """Run `invoke run` of the stand-in on podman."""
    yield lambda mode, *options: run(mode, *options, image=f"localhost/{stand_in}", **podman)
    podman_cli(podman, "rm", "--force", "--time", "0", SERVER)


def test_a_server_runs_is_listed_and_stops(run_on_podman: Run, podman: dict[str, str], port: str) -> None:
    assert run_on_podman("serves").out == f"slipway/MiniMax-M2-tiny serves at http://127.0.0.1:{port}/v1\n"
    assert "already running" in run_on_podman("serves").ok().err
    assert [server["name"] for server in invoke("ps", "--format", "json", **podman).json] == [SERVER]
    assert "Application startup complete" in invoke("logs", **podman).ok().out
    invoke("stop", **podman).ok()
    assert invoke("ps", "--format", "json", **podman).json == []


def test_a_failed_start_is_explained_as_on_docker(run_on_podman: Run) -> None:
    done = run_on_podman("no-kv")
    assert done.code == 1
    assert "estimated maximum model length is 1024" in done.err


def test_the_container_has_no_more_access_than_the_plan(run_on_podman: Run, podman: dict[str, str]) -> None:
    run_on_podman("serves").ok()
    fields = "{{.HostConfig.Privileged}} {{.HostConfig.CapAdd}} {{.HostConfig.ShmSize}} {{.Config.User}}"
    values = podman_cli(podman, "inspect", "--format", fields, SERVER).stdout.decode().split()
    assert values == ["false", "[]", str(1 << 30), f"{os.getuid()}:{os.getgid()}"]


def test_the_image_is_read_only_on_podman(run_on_podman: Run, podman: dict[str, str]) -> None:
    """`run` has checked the writable folders from inside. podman adds folders in memory at /run and /var/tmp."""
    run_on_podman("serves").ok()
    fields = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.PidsLimit}}"
    assert podman_cli(podman, "inspect", "--format", fields, SERVER).stdout.decode().split() == [
        "true",
        "5120",
    ]
    touch = podman_cli(podman, "exec", SERVER, "sh", "-c", "touch /etc/x; touch /tmp/x /dev/shm/x /cache/x")
    assert touch.returncode == 0
    assert b"Read-only file system" in touch.stderr


def test_doctor_recognizes_podman(podman: dict[str, str]) -> None:
    """The exit status is not checked: a small host may lack disk space for the image."""
    report = json.loads(invoke("doctor", "--platform", "cpu", "--format", "json", **podman).out)
    engines = [finding for finding in report["findings"] if finding["check"] == "engine"]
    assert [engine["what"].split()[0] for engine in engines] == ["podman"]
