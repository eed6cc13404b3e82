"""A real vLLM loads the locked commit, whatever `main` in the cache points to, also after a restart."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.lock.lockfile import LOCK
from launch.demo.tiny_checkpoint import write_checkpoint
from launch.hub_server import serve_folder
from launch.hub_server.model_folder import read_repository
from launch.weights.cache import ModelFolder
from tests.conftest import MODEL
from tests.e2e.conftest import free_port
from tests.invocation import invoke

if TYPE_CHECKING:
    from docker import DockerClient

NAME = "slipway-test-commit"
LOADED = re.compile(r"model_path \[/hub/models--slipway--MiniMax-M2-tiny/snapshots/([0-9a-f]{40})\]")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A lock that names the first of two commits, and a cache with both, whose `main` is the second."""
    root = tmp_path_factory.mktemp("commits")
    for file in ("lock.yaml", "cpu/requirements.txt", "cuda/requirements.txt"):
        (root / file).parent.mkdir(exist_ok=True)
        shutil.copy(LOCK.parent / file, root / file)
    environ = {"HF_HUB_CACHE": str(root / "hub"), "SLIPWAY_LOCK": str(root / "lock.yaml")}
    served = root / "served"
    write_checkpoint(served / MODEL)
    with serve_folder(served) as hub:
        invoke("pin", "--model", MODEL, HF_ENDPOINT=hub.url, **environ).ok()
        invoke("fetch", MODEL, HF_ENDPOINT=hub.url, **environ).ok()
    (served / MODEL / "README.md").write_text("A new version.\n")
    with serve_folder(served) as hub:
        invoke("fetch", MODEL, "--revision", "main", HF_ENDPOINT=hub.url, **environ).ok()
    assert ModelFolder(root / "hub", MODEL).commit("main") == read_repository(served, MODEL).commit
    return environ


@pytest.fixture(scope="module")
def locked(settings: dict[str, str]) -> str:
    """The locked commit, which is not that of `main`."""
    commit = str(invoke("plan", MODEL, "--platform", "cpu", "--format", "json", **settings).json["commit"])
    assert commit != ModelFolder(Path(settings["HF_HUB_CACHE"]), MODEL).commit("main")
    return commit


@pytest.fixture(scope="module")
def server(cpu_image: str, settings: dict[str, str]) -> Iterator[dict[str, Any]]:
    words = ("--platform", "cpu", "--name", NAME, "--port", free_port(), "--replace", "--format", "json")
    yield invoke("run", MODEL, *words, **settings).events[-1]
    invoke("stop", "--name", NAME)


def loaded(engine: DockerClient) -> list[str]:
    """Return the commit of each start of the server, as vLLM logs it."""
    return LOADED.findall(engine.containers.get(NAME).logs().decode(errors="replace"))


def test_the_server_loads_the_locked_commit(
    server: dict[str, Any], engine: DockerClient, locked: str
) -> None:
    assert set(loaded(engine)) == {locked}
    assert engine.containers.get(NAME).labels["slipway.commit"] == locked


def test_ps_names_the_commit(server: dict[str, Any], locked: str) -> None:
    (row,) = [row for row in invoke("ps", "--format", "json").json if row["name"] == NAME]
    assert row["commit"] == locked


def test_bench_takes_the_tokenizer_of_the_commit_and_records_it(server: dict[str, Any], locked: str) -> None:
    (run,) = invoke("bench", "--name", NAME, "--scale", "0.01", "--format", "json").json["runs"]
    assert run["server"]["weights_commit"] == locked
    assert run["result"]["tokenizer_id"].endswith(f"/snapshots/{locked}")


def test_a_restart_loads_the_same_commit(server: dict[str, Any], engine: DockerClient, locked: str) -> None:
    before = len(loaded(engine))
    invoke("restart", NAME).ok()
    for _ in range(180):  # vLLM names the folder after its imports, before it loads anything
        if len(loaded(engine)) > before:
            break
        time.sleep(1)
    assert len(loaded(engine)) > before
    assert set(loaded(engine)) == {locked}
