"""The sources of `--from`: a bundle as a file or URL, an unpacked bundle, another cache, or another Hub."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from errors import Refused
from launch.http.pool import ConnectionPool
from launch.http.url import is_http_url
from launch.weights import manifest as manifests
from launch.weights.bundle.format import MANIFEST_NAME, parse_manifest, require_included
from launch.weights.bundle.read import BundleFile, BundleUrl, for_model
from launch.weights.cache import ModelFolder
from launch.weights.manifest import Entry, Manifest
from launch.weights.snapshot import require_complete
from launch.weights.source import Reader, Source, read_part, unreadable
from launch.weights.sources.hub import Hub


def source_of(text: str, model: str, option: str = "--from") -> Source:
    """Return the source that `--from` names. Raises Refused, or Failed if it cannot be read."""
    if text.lower().startswith(("http://", "https://")):
        if not is_http_url(text):
            raise Refused(f"{option} is not a valid URL", fix="write it as http://host/path")
        return (
            BundleUrl(text, model) if urlsplit(text).path.endswith(".tar") else Hub(model, text.rstrip("/"))
        )
    path = Path(text).expanduser()
    try:
        if path.is_file():
            return BundleFile(path, model)
        if path.is_dir():
            return Folder(path, model)
    except OSError as error:
        raise unreadable(path, error) from error
    others = "hub, modelscope, " if option == "--source" else ""
    raise Refused(
        f"no such file or folder: '{text}'", fix=f"name {others}a bundle, a folder, or an http(s) URL"
    )


@dataclass
class Folder:
    """An unpacked bundle, or a Hugging Face cache with the model and its manifest (`source.Source`)."""

    path: Path
    model: str
    _root: Path = Path()
    _included: frozenset[str] = frozenset()

    def manifest(self, revision: str) -> Manifest:
        """Return the manifest in the folder. Raises Failed or Refused."""
        manifest = self._find(revision)
        self._included = frozenset(entry.path for entry in manifest.wanted)
        return for_model(manifest, self.model, revision, self.path)

    def _find(self, revision: str) -> Manifest:
        file = self.path / MANIFEST_NAME
        if file.is_file():
            self._root = self.path
            try:
                return parse_manifest(file.read_bytes(), self.path)
            except OSError as error:
                raise unreadable(file, error) from error
        folder = ModelFolder(self.path, self.model)
        if folder.path.is_dir():
            snapshot = require_complete(self.model, revision, self.path)
            self._root = snapshot.path
            manifest = manifests.load(folder.manifest(snapshot.commit))
            assert manifest is not None, "a complete snapshot has a manifest"
            return replace(manifest, revision=revision)
        why = f"it has neither {MANIFEST_NAME} nor a cache of {self.model}"
        raise Refused(
            f"'{self.path}' has no manifest to verify files with", why=why, fix="unpack a bundle there"
        )

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Reader:
        """Read part of a file. Raises Failed if it is missing."""
        require_included(entry, self._included, self.path)
        return read_part(self._root / entry.path, 0, first, end)
