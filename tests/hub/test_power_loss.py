"""A loss of power: a real file system whose last writes do not reach its disk."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.weights.fetch import fetch_model
from launch.weights.snapshot import require_complete
from launch.weights.transfer import partial_file
from launch.weights.transfer.file_download import SPAN
from launch.weights.verify import verify_model
from tests.conftest import ROOT
from tests.hub.conftest import MODEL, SIZES
from tests.hub.faults import serve_folder

pytestmark = (
    pytest.mark.slow
)  # some kernels hang at the unmount afterwards: run it by name, on a machine that can be restarted

WORKERS = 2
LARGE, SIZE = "harbour/ferry", 96 << 20

# Fetch, and shut the file system down without writing data or journal, once so many bytes are hashed.
# The ioctl is FS_IOC_SHUTDOWN with NOLOGFLUSH, which exists for such tests.
POWERLESS = """
import fcntl, os, pathlib, signal, struct, sys, time
from launch.weights.transfer import partial_file
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import require_complete
from launch.weights.fetch import fetch_model
from launch.weights.verify import verify_model

partial_file.boot_time = time.time  # a host that lost power has just booted

model, disk, endpoint, limit, streams = sys.argv[1:]
root, add = os.open(disk, os.O_RDONLY), TransferProgress.add

def lose_power():
    fcntl.ioctl(root, 0x8004587D, struct.pack("I", 2))
    os.kill(os.getpid(), signal.SIGKILL)

def count_bytes(progress, name, count):
    add(progress, name, count)
    if progress.done >= int(limit):
        lose_power()

TransferProgress.add = count_bytes
fetch_model(model, cache=pathlib.Path(disk, "cache"), endpoint=endpoint, workers=int(streams))
lose_power()
"""


@dataclass(frozen=True)
class Disk:
    """A file with a file system, and where it is mounted."""

    image: Path
    at: Path

    @property
    def cache(self) -> Path:
        return self.at / "cache"

    @property
    def kept(self) -> int:
        """Bytes of blobs, complete and partial."""
        return sum(at.stat().st_size for at in self.cache.glob("models--*/blobs/*"))

    @property
    def usable(self) -> int:
        """Bytes of the partial file that are content: ext4 may keep its length without its last bytes."""
        (at,) = self.cache.glob("models--*/blobs/*")
        return partial_file.bytes_before_zeros(memoryview(at.read_bytes()))

    def fetch_until_power_loss(self, model: str, endpoint: str, limit: int) -> None:
        """Fetch until the power is lost, then mount the file system again; it recovers from its journal."""
        argv = [sys.executable, "-c", POWERLESS, model, str(self.at), endpoint, str(limit), str(WORKERS)]
        done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        subprocess.run(["umount", str(self.at)], check=True)
        self.mount().check_returncode()

    def mount(self) -> subprocess.CompletedProcess[bytes]:
        words = ["mount", "-o", "loop", str(self.image), str(self.at)]
        return subprocess.run(words, capture_output=True, check=False)


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    maker = shutil.which(f"mkfs.{request.param}", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not maker:
        pytest.skip(f"no mkfs.{request.param}: apt-get install e2fsprogs xfsprogs")
    disk = Disk(tmp_path / "image", tmp_path / "disk")
    disk.at.mkdir()
    with disk.image.open("wb") as image:
        image.truncate(512 << 20)
    subprocess.run([maker, "-q", str(disk.image)], check=True)
    if disk.mount().returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk.at)], check=True)


@pytest.fixture(scope="module")
def ferry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that is one large file, to serve."""
    root = tmp_path_factory.mktemp("served")
    (root / LARGE).mkdir(parents=True)
    (root / LARGE / "model.safetensors").write_bytes(random.Random(7).randbytes(SIZE))
    return root


def test_power_loss_costs_at_most_one_span_per_worker(
    ferry: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_file, "boot_time", time.time)
    with serve_folder(ferry) as hub:
        for limit in sorted(random.Random(8).sample(range(SIZE // 4, SIZE), 4)):
            disk.fetch_until_power_loss(LARGE, hub.url, limit)
            assert disk.usable >= limit - SPAN * WORKERS
        kept = disk.usable
        snapshot = fetch_model(LARGE, cache=disk.cache, endpoint=hub.url)
    assert snapshot.fetched == SIZE - kept, "the kept bytes were right"
    large = "model.safetensors"
    assert (snapshot.path / large).read_bytes() == (ferry / LARGE / large).read_bytes()


def test_a_finished_fetch_survives_a_power_loss(
    folder: Path, disk: Disk, commit: str, assert_complete: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        disk.fetch_until_power_loss(MODEL, hub.url, 1 << 40)
    snapshot = require_complete(MODEL, cache=disk.cache)
    assert (snapshot.commit, snapshot.files) == (commit, len(SIZES))
    assert_complete(snapshot.path)
    assert verify_model(MODEL, cache=disk.cache, deep=True).bad == ()
