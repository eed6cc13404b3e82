"""Xet storage: let huggingface_hub and hf_xet bring the large files, where that is the faster way.

Whether it is depends on the network and on how much of a model is in hf_xet's chunk cache already, so it is asked
for, not guessed. What comes this way is proven afterwards like everything else, and fetched again if it is wrong.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from launch.weights.cache import Place
from launch.weights.manifest import Entry, Manifest

FILES = 4  # at once; hf_xet opens several connections for each


@dataclass(frozen=True)
class Xet:
    """huggingface_hub's download of single files, as a way to fill the cache before `transfer` looks at it."""

    endpoint: str
    say: Callable[[str], None] = lambda line: None

    def bring(self, place: Place, manifest: Manifest, entries: tuple[Entry, ...]) -> None:
        """Bring what is large; what does not come is left to the transfer that follows."""
        large = [entry for entry in entries if len(entry.blob) == 64]
        todo, done = deque(large), SimpleQueue[tuple[Entry, str]]()

        def work() -> None:
            with contextlib.suppress(IndexError):
                while entry := todo.popleft():
                    done.put((entry, self._one(place, manifest, entry)))

        # Daemons, because nothing can interrupt hf_xet: a pool would wait for it at Ctrl-C.
        for _ in range(FILES):
            threading.Thread(target=work, daemon=True).start()
        try:
            for _ in large:
                entry, error = done.get()
                if error:
                    self.say(f"{entry.path} did not come by Xet ({error}); going on over HTTP")
        finally:
            todo.clear()

    def _one(self, place: Place, manifest: Manifest, entry: Entry) -> str:
        """Download one file; the error in a word, empty where there was none."""
        from huggingface_hub import hf_hub_download

        try:
            hf_hub_download(
                manifest.model,
                entry.path,
                revision=manifest.commit,
                cache_dir=place.cache,
                endpoint=self.endpoint,
            )
        except BaseException as error:  # a panic of hf_xet is no Exception
            return type(error).__name__
        return ""
