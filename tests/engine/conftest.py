"""A stand-in for vLLM in an image of its own, and fixtures that run it as a user would."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launch.paths import state_dir
from tests import invocation
from tests.conftest import MODEL, SERVER
from tests.invocation import Finished, invoke

if TYPE_CHECKING:
    from docker import DockerClient

Command = Callable[..., list[str]]
Run = Callable[..., Finished]
Start = Callable[..., subprocess.Popen[str]]


def listed() -> list[dict[str, Any]]:
    """Return what `invoke ps` lists of the tests; it also lists the servers of users."""
    rows = invoke("ps", "--format", "json").json
    return [row for row in rows if row["name"] == SERVER]


@pytest.fixture(scope="session")
def stand_in(engine: DockerClient, cpu_image: str) -> Iterator[str]:
    """The tag of the stand-in image, built on the base of the CPU image; removed at the end."""
    base = engine.images.get(cpu_image).labels["slipway.base"]
    folder, tag = Path(__file__).with_name("stand_in"), "slipway-test/stand-in:1"
    engine.images.build(path=str(folder), buildargs={"BASE": base}, tag=tag, rm=True, forcerm=True)
    yield tag
    engine.images.remove(tag, force=True)


@pytest.fixture
def port() -> str:
    """A free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def command(stand_in: str, port: str) -> Command:
    """Return the words of an `invoke run` of the stand-in in a mode: `command("serves", "--replace")`."""

    def make(mode: str, *options: str, image: str = stand_in) -> list[str]:
        wanted = ["--platform", "cpu", "--model", MODEL, "--image", image, "--vllm", "0.32.0"]
        return ["run", *wanted, "--name", SERVER, "--port", port, "--env", f"STAND_IN={mode}", *options]

    return make


@pytest.fixture
def clean_up(engine: DockerClient) -> Iterator[None]:
    """Remove the container of a test, and restore the files in which Slipway remembers earlier starts."""
    files = [state_dir() / name for name in ("fixes.jsonl", "kv_cache.jsonl")]
    before = {path: path.read_bytes() for path in files if path.exists()}
    yield
    for path in files:
        if path in before:
            path.write_bytes(before[path])
        else:
            path.unlink(missing_ok=True)
    for container in engine.containers.list(all=True, filters={"name": f"^/{SERVER}$"}):
        container.remove(force=True, v=True)


@pytest.fixture
def run(command: Command, hub_cache: Path, clean_up: None) -> Run:
    """Run `invoke run` of the stand-in and wait for its end."""

    def go(mode: str, *options: str, image: str = "", **env: str) -> Finished:
        changed = {"image": image} if image else {}
        return invoke(*command(mode, *options, **changed), **{"HF_HUB_CACHE": str(hub_cache), **env})

    return go


@pytest.fixture
def start(command: Command, hub_cache: Path, clean_up: None) -> Start:
    """Start `invoke run` of the stand-in without waiting for it."""
    return lambda mode, *options, **env: invocation.start(
        *command(mode, *options), HF_HUB_CACHE=str(hub_cache), **env
    )
