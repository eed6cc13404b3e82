"""The same commands on podman, behind its Docker-compatible socket, with a storage and settings of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import NAME
from tests.invocation import Finished, invoke

# What a host without systemd, or whose own limits are low, must tell podman; elsewhere it does no harm.
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
STARTS_WITHIN = 100  # tenths of a second


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory, stand_in: str) -> Iterator[dict[str, str]]:
    """The variables that lead to a podman of this module's own, which has the stand-in image."""
    if not shutil.which("podman"):
        pytest.skip("no podman: apt-get install podman")
    folder = tmp_path_factory.mktemp("podman")
    env = settings(folder)
    image = subprocess.run(["docker", "save", stand_in], check=True, capture_output=True).stdout
    asked(env, "load", given=image)
    tried = asked(env, "run", "--rm", "--entrypoint", "true", f"localhost/{stand_in}")
    if tried.returncode:
        pytest.skip(f"podman starts no container here: {tried.stderr.decode()[-300:]}")
    service = subprocess.Popen(
        ["podman", "system", "service", "--time", "0", env["DOCKER_HOST"]], env=whole(env)
    )
    try:
        wait_for(folder / "podman.sock")
        yield env
    finally:
        service.terminate()
        service.wait()
        asked(env, "unshare", "rm", "-rf", str(folder)) if os.getuid() else asked(
            env, "system", "reset", "--force"
        )


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


def whole(env: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **env}


def asked(env: dict[str, str], *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["podman", *words], env=whole(env), input=given, capture_output=True, check=False)


def wait_for(socket: Path) -> None:
    for _ in range(STARTS_WITHIN):
        if socket.exists():
            return
        time.sleep(0.1)
    pytest.fail("podman's service does not come up")


@pytest.fixture
def on_podman(
    podman: dict[str, str], run: Callable[..., Finished], stand_in: str
) -> Iterator[Callable[..., Finished]]:
    """`invoke run` of the stand-in on podman."""
    yield lambda mode, *more: run(mode, *more, image=f"localhost/{stand_in}", **podman)
    asked(podman, "rm", "--force", "--time", "0", NAME)


def test_a_server_starts_is_listed_answers_and_ends(on_podman, podman, port):
    assert on_podman("serves").out == f"slipway/MiniMax-M2-tiny serves at http://127.0.0.1:{port}/v1\n"
    assert "already running" in on_podman("serves").ok().err
    assert [one["name"] for one in invoke("ps", "--format", "json", **podman).json] == [NAME]
    assert "Application startup complete" in invoke("logs", **podman).ok().out
    invoke("stop", **podman).ok()
    assert invoke("ps", "--format", "json", **podman).json == []


def test_a_failed_start_is_explained_as_on_docker(on_podman):
    said = on_podman("no-kv")
    assert said.code == 1
    assert "estimated maximum model length is 1024" in said.err


def test_it_gets_no_more_access_than_the_plan_names(on_podman, podman):
    on_podman("serves").ok()
    line = "{{.HostConfig.Privileged}} {{.HostConfig.CapAdd}} {{.HostConfig.ShmSize}} {{.Config.User}}"
    said = asked(podman, "inspect", "--format", line, NAME).stdout.decode().split()
    assert said == ["false", "[]", str(1 << 30), f"{os.getuid()}:{os.getgid()}"]


def test_doctor_knows_podman(podman):
    """Its exit status is another matter: on a small host this podman may lack room for the image."""
    findings = json.loads(invoke("doctor", "--platform", "cpu", "--format", "json", **podman).out)["findings"]
    assert [one["what"].split()[0] for one in findings if one["check"] == "engine"] == ["podman"]
