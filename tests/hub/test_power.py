"""A host without power: a real file system of its own, whose last writes never reach its disk."""

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

from launch import weights
from launch.hub_server import serve_folder
from launch.weights.transfer import partial_file
from launch.weights.transfer.file_download import SPAN
from tests.conftest import ROOT

from .conftest import MODEL, SIZES

pytestmark = (
    pytest.mark.slow
)  # kernels were seen to hang at an unmount after it: run it by name, on a machine to spare

STREAMS = 2
LARGE, SIZE = "harbour/ferry", 96 << 20

# A fetch whose file system goes down, with neither data nor journal written, once so many bytes have landed.
# The ioctl is FS_IOC_SHUTDOWN with NOLOGFLUSH, which file systems have for such tests.
POWERLESS = """
import fcntl, os, pathlib, signal, struct, sys, time
from launch.weights.transfer import partial_file
from launch.weights.progress import TransferProgress
from launch import weights

partial_file.booted = time.time  # a host that lost its power has just started

model, disk, endpoint, limit, streams = sys.argv[1:]
root, add = os.open(disk, os.O_RDONLY), TransferProgress.add

def lose_power():
    fcntl.ioctl(root, 0x8004587D, struct.pack("I", 2))
    os.kill(os.getpid(), signal.SIGKILL)

def counted(meter, name, count):
    add(meter, name, count)
    if meter.done >= int(limit):
        lose_power()

TransferProgress.add = counted
weights.fetch(model, cache=pathlib.Path(disk, "cache"), endpoint=endpoint, streams=int(streams))
lose_power()
"""


@dataclass(frozen=True)
class Disk:
    """A file that is a disk, and where it is mounted."""

    image: Path
    at: Path

    @property
    def cache(self) -> Path:
        return self.at / "cache"

    @property
    def kept(self) -> int:
        """Bytes of blobs, whole and partial."""
        return sum(at.stat().st_size for at in self.cache.glob("models--*/blobs/*"))

    @property
    def sound(self) -> int:
        """Bytes of the one partial file that are data: ext4 may keep its length without its last bytes."""
        (at,) = self.cache.glob("models--*/blobs/*")
        return partial_file.sound(memoryview(at.read_bytes()))

    def fetch_until_power_is_lost(self, model: str, endpoint: str, limit: int) -> None:
        """And then have it again: the file system is mounted anew, and mends itself from its journal."""
        argv = [sys.executable, "-c", POWERLESS, model, str(self.at), endpoint, str(limit), str(STREAMS)]
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
        pytest.skip("a disk of its own needs the right to mount one: run as root")
    yield disk
    subprocess.run(["umount", "-l", str(disk.at)], check=True)


@pytest.fixture(scope="module")
def ferry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to serve, with a model that is one large file."""
    root = tmp_path_factory.mktemp("served")
    (root / LARGE).mkdir(parents=True)
    (root / LARGE / "model.safetensors").write_bytes(random.Random(7).randbytes(SIZE))
    return root


def test_what_is_lost_on_the_way_is_at_most_a_span_a_stream(
    ferry: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_file, "booted", time.time)
    with serve_folder(ferry) as hub:
        for limit in sorted(random.Random(8).sample(range(SIZE // 4, SIZE), 4)):
            disk.fetch_until_power_is_lost(LARGE, hub.url, limit)
            assert disk.sound >= limit - SPAN * STREAMS
        kept = disk.sound
        found = weights.fetch(LARGE, cache=disk.cache, endpoint=hub.url)
    assert found.fetched == SIZE - kept, "what was kept was right"
    large = "model.safetensors"
    assert (found.path / large).read_bytes() == (ferry / LARGE / large).read_bytes()


def test_what_was_done_stays_done(
    folder: Path, disk: Disk, commit: str, assert_whole: Callable[[Path], None]
) -> None:
    with serve_folder(folder) as hub:
        disk.fetch_until_power_is_lost(MODEL, hub.url, 1 << 40)
    found = weights.check(MODEL, cache=disk.cache)
    assert (found.commit, found.files) == (commit, len(SIZES))
    assert_whole(found.path)
    assert weights.verify(MODEL, cache=disk.cache, deep=True).bad == ()
