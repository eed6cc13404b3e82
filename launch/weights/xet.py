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
        left = deque(large)

        def work() -> None:
            while left:
                with contextlib.suppress(IndexError):  # another thread was quicker
                    self._one(place, manifest, left.popleft())

        # Not an executor, which would have Ctrl-C wait for whole files.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(FILES, len(large)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _one(self, place: Place, manifest: Manifest, entry: Entry) -> None:
        """Download one file, or say why it did not come."""
        from huggingface_hub import hf_hub_download

        try:
            hf_hub_download(
                manifest.model,
                entry.path,
                revision=manifest.commit,
                cache_dir=place.cache,
                endpoint=self.endpoint,
            )
        except Exception as error:
            self.say(f"{entry.path} did not come by Xet ({type(error).__name__}); going on over HTTP")
