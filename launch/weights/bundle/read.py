"""Read a bundle: from a file, or from a web server through HTTP ranges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from errors import Failed, Refused
from launch.http.pool import ConnectionPool
from launch.http.ranges import Body, UnexpectedStatus, content_range, follow
from launch.http.retry import RetryPolicy, TransientError, call_with_retries
from launch.http.url import authorization, origin, printable, public
from launch.weights.bundle.format import (
    BLOCK,
    end_of,
    manifest_size,
    offsets,
    parse_manifest,
    require_included,
    require_members,
    too_short,
)
from launch.weights.hashing import mark_unverified
from launch.weights.manifest import Entry, Manifest
from launch.weights.source import Reader, read_part, unreadable


@dataclass
class BundleFile:
    """A bundle on this host, as a source of files (`source.Source`)."""

    path: Path
    model: str
    _offsets: dict[str, int] = field(default_factory=dict)

    def manifest(self, revision: str) -> Manifest:
        """Read the manifest and check that every file is in its place. Raises Failed or Refused."""
        try:
            with self.path.open("rb") as stream:
                size = manifest_size(stream.read(BLOCK), self.path)
                manifest = parse_manifest(stream.read(size), self.path)
                self._offsets = offsets(manifest, size)
                require_members(manifest, self._offsets, stream, self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error
        return for_model(manifest, self.model, revision, self.path)

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Reader:
        """Read part of a file."""
        require_included(entry, self._offsets, self.path)
        return read_part(self.path, self._offsets[entry.path], first, end)


@dataclass
class BundleUrl:
    """A bundle on a web server, as a source of files (`source.Source`)."""

    url: str
    model: str
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=6))
    _offsets: dict[str, int] = field(default_factory=dict)

    def manifest(self, revision: str) -> Manifest:
        """Read the manifest and check that the bundle is long enough. Raises Failed or Refused."""
        try:
            manifest = call_with_retries(self.policy, self._read_manifest, _transient, public(self.url))
        except TransientError as error:
            fix = "check the URL and the network, and try again"
            raise Failed(f"{public(self.url)} does not answer", why=error.reason, fix=fix) from error
        return for_model(manifest, self.model, revision, public(self.url))

    def _read_manifest(self) -> Manifest:
        pool = ConnectionPool(self.policy)
        try:
            size = manifest_size(self._read(pool, 0, BLOCK), public(self.url))
            manifest = parse_manifest(self._read(pool, BLOCK, BLOCK + size), public(self.url))
            self._offsets = offsets(manifest, size)
            if end := end_of(manifest, self._offsets):
                self._read(pool, end - 1, end)
        finally:
            pool.close()
        return manifest

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Reader:
        """Read part of a file, through a range of the bundle."""
        require_included(entry, self._offsets, public(self.url))
        offset = self._offsets[entry.path]
        body = self._get(pool, offset + first, offset + end)
        body.position, body.end = body.position - offset, body.end - offset
        return body

    def _read(self, pool: ConnectionPool, first: int, end: int) -> bytes:
        body = self._get(pool, first, end)
        if body.position != first:
            raise TransientError(f"the response starts at byte {body.position}, the request at {first}")
        if body.end < end:
            body.close()
            raise too_short(public(self.url))
        data, received = bytearray(end - first), 0
        while received < len(data):
            received += body.readinto(memoryview(data)[received:])
        body.close()
        return bytes(data)

    def _get(self, pool: ConnectionPool, first: int, end: int) -> Body:
        headers = {"Range": f"bytes={first}-{end - 1}"}
        try:
            connection, response, _ = follow(
                pool, self.url, headers, authorization(self.url), origin(self.url)
            )
        except UnexpectedStatus as error:
            if error.status == 416:
                raise too_short(public(self.url)) from error
            why = f"the server answered {error.status}"
            fix = "check the URL; one with a signature may have expired"
            raise Failed(f"{public(self.url)} cannot be read", why=why, fix=fix) from error
        if response.status == 200:
            connection.close()
            why = "the server ignores ranges: every file would cost a download of the whole bundle"
            fix = "download it, then fetch --from FILE"
            raise Failed(f"{public(self.url)} cannot be read in parts", why=why, fix=fix)
        return Body(connection, response, *content_range(response))


def _transient(error: Exception) -> TransientError:
    """Return an error that may pass; raise all others."""
    if isinstance(error, TransientError):
        return error
    raise error


def for_model(manifest: Manifest, model: str, revision: str, where: object) -> Manifest:
    """Return the manifest if it is of this model and revision, with no file verified on this host. Raises Refused."""
    if manifest.model != model:
        name = printable(manifest.model)
        raise Refused(f"{where} has {name}, not {model}", fix=f"invoke fetch {name} --from SOURCE")
    if revision not in (manifest.revision, manifest.commit, "main"):
        why = f"it has {printable(manifest.revision)} at {manifest.commit}"
        raise Refused(
            f"{where} does not have revision {revision}", why=why, fix=f"--revision {manifest.commit}"
        )
    # What another host verified was on another disk.
    entries = tuple(mark_unverified(entry) for entry in manifest.entries)
    return replace(manifest, revision=revision, source=str(where), entries=entries)
