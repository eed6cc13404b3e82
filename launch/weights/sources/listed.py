"""A Hub whose list of files is already known, so that only the files themselves are requested from it."""

from __future__ import annotations

from dataclasses import dataclass

from launch.http.compressed import CompressedBody
from launch.http.pool import ConnectionPool
from launch.http.ranges import Body
from launch.weights.manifest import Entry, Manifest
from launch.weights.sources.hub_files import HubFiles


@dataclass(frozen=True)
class ListedFiles:
    """The files of a manifest, at a Hub (`source.Source`)."""

    listed: Manifest
    files: HubFiles

    @classmethod
    def at(cls, endpoint: str, listed: Manifest, token: str = "") -> ListedFiles:
        """Return the files of a manifest at this Hub."""
        return cls(listed, HubFiles(endpoint, listed.model, listed.commit, token))

    def manifest(self, revision: str) -> Manifest:
        """Return the known list. The revision is the one that it was made for."""
        return self.listed

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Body | CompressedBody:
        """Read bytes `first` to `end` of a file."""
        return self.files.open(entry, first, end, pool)
