"""What `--from` names, in the Hub's place: a bundle here or at an address, an unpacked one, another cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from errors import Failed, Refused
from launch.http.pool import ConnectionPool
from launch.http.ranges import Answered, Body, follow, span_of
from launch.http.retry import RetryPolicy, Transient
from launch.http.talk import with_retries
from launch.http.url import authorization, is_http_url, origin, printable, public
from launch.weights import manifest as manifests
from launch.weights.bundle import (
    AGAIN,
    BLOCK,
    NAME,
    end_of,
    first_member,
    offsets,
    require_held,
    require_members,
    too_short,
)
from launch.weights.cache import Place
from launch.weights.manifest import Entry, Manifest
from launch.weights.snapshot import check
from launch.weights.sources.hub import Hub
from launch.weights.sources.source import Reader, Source, read_part, unreadable


def source_of(given: str, model: str, say: Callable[[str], None] = lambda line: None) -> Source:
    """The source that `--from` names: a bundle, a folder, the address of a bundle, or a Hub's address.

    Raises Refused where it is none of them, Failed where nobody may look.
    """
    if given.lower().startswith(("http://", "https://")):
        if not is_http_url(given):
            raise Refused("--from is no address that can be asked", fix="write it as http://host/path")
        bundle = urlsplit(given).path.endswith(".tar")
        return BundleAt(given, model, say=say) if bundle else Hub(model, given.rstrip("/"), say=say)
    path = Path(given).expanduser()
    try:
        if path.is_file():
            return BundleFile(path, model)
        if path.is_dir():
            return Folder(path, model)
    except OSError as error:
        raise unreadable(path, error) from error
    raise Refused(f"no such file or folder: {given}", fix="name a bundle, a folder, or an http(s) address")


def _for_model(manifest: Manifest, model: str, revision: str, where: object) -> Manifest:
    if manifest.model != model:
        held = printable(manifest.model)
        raise Refused(f"{where} holds {held}, not {model}", fix=f"fetch --model {held}")
    if revision not in (manifest.revision, manifest.commit, "main"):
        why = f"it holds {printable(manifest.revision)} at {manifest.commit}"
        raise Refused(f"{where} does not hold revision {revision}", why=why, fix="leave out --revision")
    return replace(manifest, revision=revision, source=str(where), entries=_unproven(manifest))


def _unproven(manifest: Manifest) -> tuple[Entry, ...]:
    """The entries without what another host proved: its disk is not this one."""
    return tuple(replace(entry, verified="", mtime_ns=0) for entry in manifest.entries)


@dataclass
class BundleFile:
    """A bundle on this host."""

    path: Path
    model: str
    _offsets: dict[str, int] = field(default_factory=dict)

    def manifest(self, revision: str) -> Manifest:
        """The bundle's first member."""
        try:
            with self.path.open("rb") as stream:
                length = first_member(stream.read(BLOCK), self.path)
                manifest = _parsed(stream.read(length), self.path)
                self._offsets = offsets(manifest, BLOCK + length + -length % BLOCK)
                require_members(manifest, self._offsets, stream, self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error
        return _for_model(manifest, self.model, revision, self.path)

    def open(self, entry: Entry, first: int, end: int, connections: ConnectionPool) -> Reader:
        """Part of a member."""
        require_held(entry, self._offsets, self.path)
        return read_part(self.path, self._offsets[entry.path], first, end)


def _parsed(data: bytes, where: object) -> Manifest:
    try:
        return manifests.parse(data)
    except (ValueError, TypeError, KeyError) as error:
        raise Failed(f"{where}: its manifest cannot be read", why=str(error), fix=AGAIN) from error


@dataclass
class Folder:
    """A folder: an unpacked bundle, or a Hugging Face cache that has the model with its manifest."""

    path: Path
    model: str
    _root: Path = Path()
    _held: frozenset[str] = frozenset()

    def manifest(self, revision: str) -> Manifest:
        """What the folder holds. Raises Refused where nothing in it can be proven."""
        found = self._find(revision)
        self._held = frozenset(entry.path for entry in found.wanted)
        return _for_model(found, self.model, revision, self.path)

    def _find(self, revision: str) -> Manifest:
        if (self.path / NAME).is_file():
            self._root = self.path
            try:
                data = (self.path / NAME).read_bytes()
            except OSError as error:
                raise unreadable(self.path / NAME, error) from error
            return _parsed(data, self.path)
        if Place(self.path, self.model).folder.is_dir():
            snapshot = check(self.model, revision, self.path)
            self._root = snapshot.path
            found = manifests.load(Place(self.path, self.model).manifest(snapshot.commit))
            assert found is not None, "a snapshot that passed `check` has a manifest"
            return replace(found, revision=revision)
        why = f"it has neither {NAME} nor a cache of {self.model}"
        raise Refused(f"{self.path} holds nothing that can be proven", why=why, fix="unpack a bundle there")

    def open(self, entry: Entry, first: int, end: int, connections: ConnectionPool) -> Reader:
        """Part of a file. Raises Failed where it is missing."""
        require_held(entry, self._held, self.path)
        return read_part(self._root / entry.path, 0, first, end)


@dataclass
class BundleAt:
    """A bundle on a plain web server, read in ranges."""

    url: str
    model: str
    patience: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=6))
    say: Callable[[str], None] = field(default=lambda line: None, repr=False)
    _offsets: dict[str, int] = field(default_factory=dict)

    def manifest(self, revision: str) -> Manifest:
        """The bundle's first member, and how long the bundle is."""
        try:
            found = with_retries(self.patience, self._begin, _transient, self.say)
        except Transient as trouble:
            fix = "check the address and the network, and try again"
            raise Failed(f"{public(self.url)} does not answer", why=trouble.reason, fix=fix) from trouble
        return _for_model(found, self.model, revision, public(self.url))

    def _begin(self) -> Manifest:
        """The manifest; where the files are follows from it. The last byte is asked for before the first ones."""
        connections = ConnectionPool(self.patience)
        try:
            length = first_member(self._read(connections, 0, BLOCK), public(self.url))
            manifest = _parsed(self._read(connections, BLOCK, BLOCK + length), public(self.url))
            self._offsets = offsets(manifest, BLOCK + length + -length % BLOCK)
            if end := end_of(manifest, self._offsets):
                self._read(connections, end - 1, end)
        finally:
            connections.close()
        return manifest

    def open(self, entry: Entry, first: int, end: int, connections: ConnectionPool) -> Reader:
        """Part of a member, through a range of the bundle."""
        require_held(entry, self._offsets, public(self.url))
        offset = self._offsets[entry.path]
        body = self._get(connections, offset + first, offset + end)
        body.position, body.end = body.position - offset, body.end - offset
        return body

    def _read(self, connections: ConnectionPool, first: int, end: int) -> bytes:
        body = self._get(connections, first, end)
        if body.position != first:
            raise Transient(f"it answers from byte {body.position} where {first} was asked for")
        if body.end < end:
            body.close()
            raise too_short(public(self.url))
        data = bytearray(end - first)
        got = 0
        while got < len(data):
            got += body.readinto(memoryview(data)[got:])
        body.close()
        return bytes(data)

    def _get(self, connections: ConnectionPool, first: int, end: int) -> Body:
        asked = {"Range": f"bytes={first}-{end - 1}"}
        try:
            connection, response, _ = follow(
                connections, self.url, asked, authorization(self.url, ""), origin(self.url)
            )
        except Answered as answer:
            if answer.status == 416:
                raise too_short(public(self.url)) from answer
            why = f"the server answered {answer.status}"
            fix = "check the address; one that carries a signature may have expired"
            raise Failed(f"{public(self.url)} cannot be had", why=why, fix=fix) from answer
        if response.status == 200:
            connection.close()
            why = "the server ignores ranges, and without them every file would cost the whole bundle"
            raise Failed(
                f"{public(self.url)} cannot be read in parts",
                why=why,
                fix="download it, then fetch --from FILE",
            )
        return Body(connection, response, *span_of(response))


def _transient(error: Exception) -> Transient:
    """What may be gone the next time; all else is raised."""
    if isinstance(error, Transient):
        return error
    raise error
