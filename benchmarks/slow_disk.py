"""A disk of a given speed: a file system in a file, and a limit of the kernel for each reader. It needs root.

The limit is that of cgroup version 1 (blkio). It counts for each cgroup by itself, so a container and the program that
reads ahead for it each have the whole speed; the container reads nothing that is in the page cache by then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.throttled import run

BLKIO = Path("/sys/fs/cgroup/blkio")
RULE = "blkio.throttle.read_bps_device"
OWN = BLKIO / "slipway-benchmark"


@dataclass(frozen=True)
class SlowDisk:
    """A mounted disk; readers are limited to `rate` bytes per second once they are named."""

    folder: Path
    device: str  # MAJOR:MINOR
    rate: int

    def limited(self, words: list[str]) -> list[str]:
        """Return the words that run a program with the limit."""
        return ["sh", "-c", f'echo $$ > {OWN}/cgroup.procs && exec "$@"', "sh", *words]

    @contextmanager
    def limited_container(self, name: str) -> Iterator[None]:
        """Limit the container of this name as soon as it exists."""
        stop = threading.Event()
        thread = threading.Thread(target=self._limit, args=(name, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)

    def _limit(self, name: str, stop: threading.Event) -> None:
        while not stop.is_set():
            words = ["docker", "inspect", "--format", "{{.Id}}", name]
            found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
            with contextlib.suppress(OSError):  # it has no cgroup before it runs
                if found:
                    (BLKIO / "docker" / found / RULE).write_text(f"{self.device} {self.rate}")
                    return
            time.sleep(0.05)


@contextmanager
def slow_disk(folder: Path, size: int, rate: int) -> Iterator[SlowDisk]:
    """Mount a disk of `size` bytes below a folder. Exits if this host cannot limit it."""
    if not (BLKIO / "docker").is_dir():
        raise SystemExit("a slow disk needs cgroup version 1; use --mb-per-second 0")
    image, mount = folder / "slow-disk.img", folder / "slow-disk"
    mount.mkdir()
    with image.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, size)
    device = subprocess.check_output(
        ["losetup", "--direct-io=on", "-f", "--show", str(image)], text=True
    ).strip()
    try:
        run("mkfs.ext4", "-q", device)
        run("mount", device, str(mount))
        status = Path(device).stat()
        disk = SlowDisk(mount, f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}", rate)
        OWN.mkdir(exist_ok=True)
        (OWN / RULE).write_text(f"{disk.device} {rate}")
        yield disk
    finally:
        subprocess.run(["umount", str(mount)], check=False)
        run("losetup", "-d", device)
        image.unlink()
        shutil.rmtree(mount)
        with contextlib.suppress(OSError):
            OWN.rmdir()
