"""Read weights into the page cache before the server needs them, in the order in which it will.

vLLM maps the weights and reads them by page faults, one file after another, after minutes of starting and importing.
The disk is idle until then. Reading is bounded by free memory: pages that are evicted before their use cost the time
twice.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import re
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.weights import safe_read
from launch.weights.memory import readable_ahead
from launch.weights.progress import amount

INDEX = "model.safetensors.index.json"
LARGEST_INDEX = 64 << 20
READERS = 4  # files at once; local disks and network file systems need several requests to be fast
BLOCK = 4 << 20
SAMPLES = 64  # places of each file that are probed for whether it is cached
SMALLEST = 64 << 20  # bytes that are worth it
CHECK = 0.5  # seconds between two looks at the free memory
NO_SENDFILE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
NO_PROBE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass
class ReadAhead:
    """Reads files in the background from `start` to `stop`. Used once."""

    files: Sequence[Path]
    needed: int = 0  # bytes of memory that the server will take for itself
    limit: int = 0  # bytes of the container's memory limit; 0: none
    read: int = 0  # bytes read from disk
    seconds: float = 0.0
    _stop: threading.Event | None = None
    _threads: tuple[threading.Thread, ...] = ()

    def start(self) -> str:
        """Begin if it can help; return in a few words what is done, or why nothing is."""
        sizes = {path: path.stat().st_size for path in self.files}
        total = sum(sizes.values())
        if total < SMALLEST:
            return "not read ahead: they are small"
        if cached(self.files) > 0.95:
            return "not read ahead: they are in the page cache already"
        budget = readable_ahead(self.needed, self.limit)
        if budget < SMALLEST:
            return "not read ahead: memory is short"
        blocks = _Blocks(self.files, sizes, min(budget, total))
        self._stop = threading.Event()
        self._threads = tuple(
            threading.Thread(target=self._work, args=(blocks, self._stop), daemon=True)
            for _ in range(READERS)
        )
        for thread in self._threads:
            thread.start()
        part = "" if budget >= total else f"the first {amount(budget)} of "
        return f"reading {part}{amount(total)} ahead into the page cache"

    def stop(self) -> None:
        """End within one block."""
        if self._stop is not None:
            self._stop.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    @property
    def running(self) -> bool:
        """Whether it still reads."""
        return any(thread.is_alive() for thread in self._threads)

    def _work(self, blocks: _Blocks, stop: threading.Event) -> None:
        begin = time.monotonic()
        # A file that cannot be read is the server's to report.
        with contextlib.suppress(OSError), Path(os.devnull).open("wb", buffering=0) as nowhere:
            while not stop.is_set() and (block := blocks.next()) is not None:
                file, offset = block
                if blocks.memory_is_short(self.needed, self.limit):
                    stop.set()
                elif not _is_cached(file, offset):
                    count = _read_block(file, offset, nowhere.fileno())
                    with blocks.lock:
                        self.read += count
        self.seconds = max(self.seconds, time.monotonic() - begin)
        blocks.leave()


class _Blocks:
    """The blocks of files in order, each for one reader. The last reader closes the files."""

    def __init__(self, files: Sequence[Path], sizes: dict[Path, int], budget: int) -> None:
        self.lock = threading.Lock()
        self._files, self._sizes, self._left = list(files), sizes, budget
        self._open: list[int] = []
        self._offset = self._size = 0
        self._readers = READERS
        self._checked = time.monotonic()
        self._short = False

    def next(self) -> tuple[int, int] | None:
        """Return an open file and the offset of the next block; None at the end, or when the budget is used up."""
        with self.lock:
            while self._offset >= self._size:
                if not self._files:
                    return None
                path = self._files.pop(0)
                self._open.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                self._offset, self._size = 0, self._sizes[path]
            if self._left <= 0:
                return None
            at = self._offset
            self._offset += BLOCK
            self._left -= BLOCK
            return self._open[-1], at

    def memory_is_short(self, needed: int, limit: int) -> bool:
        """Look now and then whether less memory is free than the server needs."""
        with self.lock:
            if time.monotonic() - self._checked >= CHECK:
                self._checked = time.monotonic()
                self._short = readable_ahead(needed, limit) <= 0
            return self._short

    def leave(self) -> None:
        """Close the files after the last reader."""
        with self.lock:
            self._readers -= 1
            if not self._readers:
                for file in self._open:
                    os.close(file)


def _read_block(file: int, offset: int, nowhere: int) -> int:
    """Bring a block into the page cache; return its bytes.

    `sendfile` to /dev/null copies nothing: 3 GiB cost 0.15 s of a CPU, and 1.3 s with `preadv`. The server imports at
    this time, and needs the CPU.
    """
    done = 0
    try:
        while done < BLOCK and (count := os.sendfile(nowhere, file, offset + done, BLOCK - done)):
            done += count
    except OSError as error:
        if error.errno not in NO_SENDFILE:
            raise
        return done + os.preadv(file, [bytearray(BLOCK - done)], offset + done)
    return done


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files in the order in which vLLM loads them: those of the index, by their numbers."""
    found = {path.name for path in folder.glob("*.safetensors") if path.is_file()}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        index = json.loads(safe_read.read(folder / INDEX, LARGEST_INDEX))
        found &= set(index["weight_map"].values()) or found
    return tuple(folder / name for name in sorted(found, key=_natural))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def cached(files: Iterable[Path]) -> float:
    """Return which part of the files is in the page cache, from samples; 0 if the file system does not tell."""
    hits = probes = 0
    for path in files:
        size = path.stat().st_size
        with contextlib.suppress(OSError), path.open("rb", buffering=0) as stream:
            # A probe brings the page that it does not find, and by default many after it. So the places are random:
            # those of the last start would all be found.
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for number in range(SAMPLES):
                hits += _is_page_cached(stream.fileno(), round(size * (number + random.random()) / SAMPLES))
                probes += 1
    return hits / probes if probes else 0.0


def _is_cached(file: int, offset: int) -> bool:
    """Whether a block seems to be in the page cache: its first page, its middle and its last."""
    return all(_is_page_cached(file, offset + part) for part in (0, BLOCK // 2, BLOCK - 1))


def _is_page_cached(file: int, offset: int) -> bool:
    """Ask for one byte without waiting for a disk; the end of the file counts as cached."""
    try:
        os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_PROBE:
            return False
        raise
    return True
