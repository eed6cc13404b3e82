"""What tests stand on: an engine, the CPU image, a tiny model in a cache; made once, or absent with a reason.

SLIPWAY_REQUIRE_ENGINE=1 (CI sets it) turns a skip for want of an engine into a failure.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from errors import SlipwayError

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
MODEL = "slipway/MiniMax-M2-tiny"

# One state folder for this run, shared by its xdist workers, unless the caller names one that is to stay.
_OWN_STATE = "" if os.environ.get("SLIPWAY_STATE_DIR") else tempfile.mkdtemp(prefix="slipway-tests-")
if _OWN_STATE:
    os.environ["SLIPWAY_STATE_DIR"] = _OWN_STATE

settings.register_profile("slipway", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("slipway")


def pytest_unconfigure() -> None:
    """Remove the state folder of this run."""
    if _OWN_STATE:
        shutil.rmtree(_OWN_STATE, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A folder is its marker; the fast tests come first; what takes minutes runs by name: `pytest -m slow`."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in ("engine", "e2e", "images"):
            item.add_marker("e2e" if folder == "e2e" else "engine")
    if "slow" not in (config.option.markexpr or ""):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: pytest -m slow"))
    items.sort(key=lambda item: [mark.name in ("engine", "e2e") for mark in item.iter_markers()].count(True))


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A client of a container engine, which is installed and started where it can be."""
    from launch.engine import install
    from launch.engine.client import connect

    try:
        install.ensure()
        client = connect(timeout=600)
    except SlipwayError as error:
        absent(str(error))
    yield client
    client.close()


def absent(reason: str) -> Any:
    """Skip for want of an engine; fail instead where one is required."""
    if os.environ.get("SLIPWAY_REQUIRE_ENGINE"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cpu_image(engine: Any) -> str:
    """The tag of the CPU image, built from the lock if it is not here yet."""
    from images.build.pipeline import BuildOptions, build

    return build(engine, "cpu", BuildOptions(), lambda done, total, note: None).tag


@pytest.fixture(scope="session")
def hub_with_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Hub on loopback that serves the tiny MiniMax-M2."""
    from launch.demo.tiny_checkpoint import write_checkpoint
    from launch.hub_server import serve_folder

    hub = tmp_path_factory.mktemp("hub")
    (hub / MODEL).mkdir(parents=True)
    write_checkpoint(hub / MODEL)
    with serve_folder(hub) as server:
        yield server.url


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory: pytest.TempPathFactory, hub_with_model: str) -> Path:
    """An HF cache that holds the tiny MiniMax-M2, fetched by `invoke fetch`."""
    from tests.invocation import invoke

    cache = tmp_path_factory.mktemp("cache")
    invoke("fetch", "--model", MODEL, HF_ENDPOINT=hub_with_model, HF_HUB_CACHE=str(cache)).ok()
    return cache


@pytest.fixture
def shared() -> Path:
    """The folder of recorded real data beside the repository; without it such tests skip."""
    if not SHARED.is_dir():
        pytest.skip("no recorded data beside this checkout (../shared)")
    return SHARED
