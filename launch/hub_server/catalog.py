"""The models that are served: a Hugging Face cache, a folder of models, or a folder that has both.

Nothing is hashed inside a request. A model is read when the server starts, and again in the background when a request
comes; what was read before is served until the new reading is complete.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from errors import Refused
from launch import deadline
from launch.hub_server.cached_model import read_model
from launch.hub_server.file_hashes import FileHashes
from launch.hub_server.model_folder import read_repository
from launch.hub_server.repository import ServedModel
from launch.weights.cache import MODEL, ModelFolder

PREFIX = "models--"
READ_AGAIN = 1.0  # seconds after which a request looks for changes
LONGEST_WAIT = 1.5  # seconds that a request waits for a reading: enough for all but large new files


class NotReady(Exception):
    """The files of a model are still being hashed."""


@dataclass
class _Reading:
    """The last complete reading of a model, and the one that runs."""

    model: ServedModel | None = None
    since: float = 0.0
    running: Future[ServedModel] | None = None


@dataclass
class Catalog:
    """The models in a folder. Threads may share it."""

    folder: Path
    hashes: FileHashes = field(default_factory=FileHashes)
    _readings: dict[str, _Reading] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> list[str]:
        """Return the models in the folder, by name."""
        return sorted({*_cached(self.folder), *_in_folders(self.folder)})

    def read_all(self) -> Catalog:
        """Read every model now; return the catalog."""
        for name in self.names():
            self.read(name)
        return self

    def read(self, name: str) -> ServedModel:
        """Read a model now, and hash what is new."""
        reading = self._readings.setdefault(name, _Reading())
        reading.model, reading.since = self._read(name), time.monotonic()
        return reading.model

    def find(self, name: str) -> ServedModel | None:
        """Return a model, or None if the folder has none of that name. Raises NotReady."""
        if not self._has(name):
            return None
        with self._lock:
            reading = self._readings.setdefault(name, _Reading())
            if reading.running is None and time.monotonic() - reading.since > READ_AGAIN:
                reading.running = deadline.start(lambda: self._read(name))
            running = reading.running
        if running is not None:
            self._collect(reading, running)
        if reading.model is None:
            raise NotReady(name)
        return reading.model

    def _collect(self, reading: _Reading, running: Future[ServedModel]) -> None:
        """Take over a reading that is complete, or soon will be. One that failed leaves the one before."""
        wait([running], timeout=LONGEST_WAIT)
        if not running.done():
            return
        with self._lock:
            if reading.running is running:
                reading.running, reading.since = None, time.monotonic()
                reading.model = running.result() if running.exception() is None else reading.model

    def _has(self, name: str) -> bool:
        if not MODEL.fullmatch(name) or ".." in name:
            return False
        return (self.folder / name).is_dir() or self._cache_of(name) is not None

    def _cache_of(self, name: str) -> ModelFolder | None:
        try:
            found = ModelFolder(self.folder, name)
        except Refused:  # a name that no cache has
            return None
        return found if found.path.is_dir() else None

    def _read(self, name: str) -> ServedModel:
        if cached := self._cache_of(name):
            return read_model(cached, self.hashes)
        return ServedModel.single(read_repository(self.folder, name, self.hashes))


def _cached(folder: Path) -> Iterator[str]:
    for path in folder.glob(f"{PREFIX}*--*"):
        name = path.name.removeprefix(PREFIX).replace("--", "/", 1)
        if path.is_dir() and MODEL.fullmatch(name) and "--" not in name:
            yield name


def _in_folders(folder: Path) -> Iterator[str]:
    for path in folder.glob("*/*"):
        name = f"{path.parent.name}/{path.name}"
        if path.is_dir() and MODEL.fullmatch(name) and not path.parent.name.startswith(PREFIX):
            yield name


def require_models(folder: Path) -> Path:
    """Return the folder whose models are served: the given one, or the cache in it. Raises Refused."""
    if not folder.is_dir():
        raise Refused(f"folder '{folder}' does not exist", fix="invoke serve-weights FOLDER")
    for candidate in (folder, folder / "hub"):
        if (candidate / "config.json").is_file() or any(candidate.glob("*.safetensors")):
            why = f"a served folder has ORGANIZATION/NAME/ for each model, and '{candidate}' is one model"
            fix = f"mkdir -p served/ORGANIZATION && ln -s '{candidate.absolute()}' served/ORGANIZATION/NAME"
            raise Refused(f"'{folder}' has no models", why=why, fix=fix)
        if Catalog(candidate).names():
            return candidate
    why = "it has neither ORGANIZATION/NAME/ nor models--ORGANIZATION--NAME/"
    raise Refused(f"'{folder}' has no models", why=why, fix="invoke models")
