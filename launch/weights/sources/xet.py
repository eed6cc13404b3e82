"""Let huggingface_hub and hf_xet download large files from Xet storage (--xet).

It is optional, because whether it is faster depends on the network and on hf_xet's chunk cache. The files are
verified afterwards like all others; wrong ones are fetched again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue

from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry, Manifest

FILES = 4  # at once; hf_xet opens several connections for each

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Xet:
    """Fills the cache with huggingface_hub's download of single files, before Slipway's transfer starts."""

    endpoint: str

    def download(self, folder: ModelFolder, manifest: Manifest, entries: tuple[Entry, ...]) -> None:
        """Download the large files; those that fail are left to the transfer that follows."""
        large = [entry for entry in entries if len(entry.blob) == 64]
        todo, done = deque(large), SimpleQueue[tuple[Entry, str]]()

        def work() -> None:
            with contextlib.suppress(IndexError):
                while entry := todo.popleft():
                    done.put((entry, self._download(folder, manifest, entry)))

        # Daemon threads, because hf_xet cannot be interrupted: a pool would wait for it at Ctrl-C.
        for _ in range(FILES):
            threading.Thread(target=work, daemon=True).start()
        try:
            for _ in large:
                entry, error = done.get()
                if error:
                    logger.warning("%s: Xet failed (%s); fetching it over HTTP", entry.path, error)
        finally:
            todo.clear()

    def _download(self, folder: ModelFolder, manifest: Manifest, entry: Entry) -> str:
        """Download one file; return the name of the error, or an empty string."""
        from huggingface_hub import hf_hub_download

        try:
            hf_hub_download(
                manifest.model,
                entry.path,
                revision=manifest.commit,
                cache_dir=folder.cache,
                endpoint=self.endpoint,
            )
        except BaseException as error:  # a panic of hf_xet is not an Exception
            return type(error).__name__
        return ""
