"""What tests share: an engine, the CPU image, a tiny model in a cache. Each is made once or skipped with a reason.

SLIPWAY_REQUIRE_ENGINE=1 (CI sets it) turns a skip for lack of an engine into a failure. What Slipway writes goes to
a state folder that is removed at the end, unless SLIPWAY_STATE_DIR names another one. `--record` keeps the user's own
state folder, where `publish` looks for the results of the image tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

from errors import SlipwayError

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
MODEL = "slipway/MiniMax-M2-tiny"
SERVER = "slipway-test-tiny"  # not the default name for MODEL: a user may run a server of that name

_STATE = pytest.StashKey[str]()

settings.register_profile("slipway", deadline=None)  # a busy machine is not a fault of the code
settings.load_profile("slipway")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of this project."""
    parser.addoption(
        "--record", action="store_true", help="record images that pass their tests, for `publish`"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Create the state folder of this run; the workers of xdist inherit the variable and so share the folder."""
    if not config.option.record and not os.environ.get("SLIPWAY_STATE_DIR"):
        config.stash[_STATE] = os.environ["SLIPWAY_STATE_DIR"] = tempfile.mkdtemp(prefix="slipway-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the state folder of this run."""
    if folder := config.stash.get(_STATE, ""):
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by folder, run the fast ones first, and skip the slow ones unless asked for: `pytest -m slow`."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in ("engine", "e2e", "hosts", "images"):
            item.add_marker("e2e" if folder == "e2e" else "engine")
    if "slow" not in (config.option.markexpr or ""):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: pytest -m slow"))
    items.sort(key=lambda item: sum(mark.name in ("engine", "e2e") for mark in item.iter_markers()))


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A client of a container engine; the engine is installed and started if this host allows it."""
    from launch.engine import install
    from launch.engine.client import connect

    try:
        install.ensure()
        client = connect(timeout=600)
    except SlipwayError as error:
        absent(str(error))
    yield client
    client.close()


def absent(reason: str) -> NoReturn:
    """Skip a test for lack of an engine, or fail it if an engine is required."""
    if os.environ.get("SLIPWAY_REQUIRE_ENGINE"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cpu_image(engine: DockerClient) -> str:
    """The tag of the CPU image, built from the lock unless the engine has it."""
    from images.build.pipeline import BuildOptions, build
    from images.lock.lockfile import load

    return build(engine, load().image("cpu"), BuildOptions(), lambda done, total, note: None).tag


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
    """A Hugging Face cache with the tiny MiniMax-M2, fetched by `invoke fetch`."""
    from tests.invocation import invoke

    cache = tmp_path_factory.mktemp("cache")
    invoke("fetch", "--model", MODEL, HF_ENDPOINT=hub_with_model, HF_HUB_CACHE=str(cache)).ok()
    return cache


@pytest.fixture
def shared() -> Path:
    """The folder of recorded data next to the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("no recorded data next to this checkout (../shared)")
    return SHARED


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libnvidia-ml.so.1 that answers from the environment, compiled here."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to make the NVML stand-in with")
    folder = tmp_path_factory.mktemp("nvml")
    source = ROOT / "tests" / "unit" / "launch" / "hardware" / "nvml_stand_in.c"
    made = [compiler, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)]
    subprocess.run(made, check=True, capture_output=True)
    return folder
