"""A stand-in for vLLM in an image of its own, and a way to run it as a user would."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launch.paths import state_dir
from tests import invocation
from tests.conftest import MODEL
from tests.invocation import Finished, invoke

NAME = "slipway-minimax-m2-tiny"


@pytest.fixture(scope="session")
def stand_in(engine: Any, cpu_image: str) -> str:
    """The tag of the stand-in image, above the same base as the CPU image."""
    base = engine.images.get(cpu_image).labels["slipway.base"]
    folder = Path(__file__).with_name("stand_in")
    image, _ = engine.images.build(
        path=str(folder), buildargs={"BASE": base}, tag="slipway-test/stand-in:1", rm=True, forcerm=True
    )  # the classic builder leaves its containers otherwise
    return image.tags[0]


@pytest.fixture
def port() -> str:
    """A port on loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def command(stand_in: str, port: str) -> Callable[..., list[str]]:
    """The words of an `invoke run` of the stand-in in the given mode."""

    def make(mode: str, *more: str, image: str = stand_in) -> list[str]:
        wanted = ["--platform", "cpu", "--model", MODEL, "--image", image, "--vllm", "0.32.0"]
        return ["run", *wanted, "--port", port, "--env", f"STAND_IN={mode}", *more]

    return make


@pytest.fixture
def tidy(engine: Any) -> Iterator[None]:
    """Takes away what a run left: its container, and what was learned from a server that is none."""
    learned = [state_dir() / name for name in ("fixes.jsonl", "kv_cache.jsonl")]
    before = {path: path.read_bytes() for path in learned if path.exists()}
    yield
    for path in learned:
        path.write_bytes(before[path]) if path in before else path.unlink(missing_ok=True)
    for container in engine.containers.list(all=True, filters={"name": f"^/{NAME}$"}):
        container.remove(force=True)


@pytest.fixture
def run(command: Callable[..., list[str]], hub_cache: Path, tidy: None) -> Callable[..., Finished]:
    """`invoke run` of the stand-in, waited for."""

    def go(mode: str, *more: str, image: str = "", **env: str) -> Finished:
        found = {"image": image} if image else {}
        return invoke(*command(mode, *more, **found), **{"HF_HUB_CACHE": str(hub_cache), **env})

    return go


@pytest.fixture
def begin(
    command: Callable[..., list[str]], hub_cache: Path, tidy: None
) -> Callable[..., subprocess.Popen[str]]:
    """`invoke run` of the stand-in, going on while the test does something to it."""
    return lambda mode, *more, **env: invocation.start(
        *command(mode, *more), HF_HUB_CACHE=str(hub_cache), **env
    )
