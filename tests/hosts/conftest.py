"""Simulated hosts with real engines: what they download, and what must be left of them on this machine: nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.conftest import absent
from tests.hosts import inputs
from tests.hosts.inputs import HUB_PORT, MODEL, REGISTRY_PORT, Downloads
from tests.hosts.simulated_host import CannotSimulate, SimulatedHost, simulated_host
from tests.registry import serving

if TYPE_CHECKING:
    from docker import DockerClient

NewHost = Callable[[str], AbstractContextManager[SimulatedHost]]
# Files of this machine that a simulated host could change if its namespaces leaked.
WATCHED = (
    "/dev",
    "/dev/dri",
    "/etc/cdi",
    "/etc/containers",
    "/etc/docker",
    "/run/cdi",
    "/sys/class/kfd",
    "/var/lib",
)


@pytest.fixture(scope="session")
def downloads(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Downloads:
    """The stand-in bases in a registry's folder, and MiniMax-M2 in a Hub's folder."""
    binary = serving.program()
    if not binary:
        absent(serving.FIX)
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "registry").mkdir()
    with serving.running(binary, folder / "registry") as registry:
        return inputs.prepare(engine, registry, folder)


@pytest.fixture(scope="session")
def new_host(downloads: Downloads) -> NewHost:
    """Start a host of a platform whose lock, registry and Hub are stand-ins: `with new_host("rocm") as host`."""
    if os.geteuid() != 0:
        pytest.skip("only root can make namespaces with devices: run these tests as root")

    @contextmanager
    def make(platform: str) -> Iterator[SimulatedHost]:
        before = traces()
        try:
            with simulated_host({"HF_ENDPOINT": f"http://127.0.0.1:{HUB_PORT}"}) as host:
                serve_downloads(host, downloads)
                pin(host, downloads.locks[platform])
                yield host
        except CannotSimulate as reason:
            absent(f"this machine cannot simulate a host: {reason}")
        assert traces() == before
        assert not host.folder.exists()
        assert str(host.folder) not in Path("/proc/mounts").read_text()
        assert not Path(f"/proc/{host.pid}").exists()

    return make


def pin(host: SimulatedHost, lock: Path) -> None:
    """Give the host a lock of its own, which pins a platform and the weights that the Hub has now."""
    own = shutil.copy(lock, host.folder / "lock.yaml")
    host.env["SLIPWAY_LOCK"] = str(own)
    host.invoke("pin", "--model", MODEL).ok()


def traces() -> dict[str, list[str]]:
    """Return the names in the folders of this machine that a host must not change."""
    folders = [Path(path) for path in WATCHED if Path(path).is_dir()]
    return {str(folder): sorted(path.name for path in folder.iterdir()) for folder in folders}


def serve_downloads(host: SimulatedHost, downloads: Downloads) -> None:
    """Serve the registry and the Hub on the host's own loopback."""
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(downloads.registry)}},
        "http": {"addr": f"127.0.0.1:{REGISTRY_PORT}"},
    }
    host.write("/etc/registry.yml", yaml.safe_dump(settings))
    host.daemon("registry", "docker-registry", "serve", "/etc/registry.yml", listens=REGISTRY_PORT)
    hub = (sys.executable, "-m", "invoke", "serve-weights", str(downloads.hub), "--port", str(HUB_PORT))
    host.daemon("hub", *hub, listens=HUB_PORT)
