"""A snapshot in one file, for hosts that no network reaches.

A bundle is an uncompressed tar: `manifest.json` first, then each file at a multiple of 512 bytes, in the
manifest's order. So `tar` can read it, and so can whoever has only ranges of it: where each file begins
follows from the manifest. Nothing in it is unpacked by name; the names come from the checked manifest
alone.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from errors import Failed, Refused
from launch.weights import manifest as manifests
from launch.weights.cache import Place, cache_folder
from launch.weights.hub import Hub
from launch.weights.landing import PIECE
from launch.weights.manifest import Entry, Manifest
from launch.weights.meter import Meter
from launch.weights.network import Answered, Body, Connections, follow, origin, span_of
from launch.weights.patience import Patience, Transient
from launch.weights.snapshot import Snapshot, check
from launch.weights.sources import Reader, Source, read_part, refusal

BLOCK = tarfile.BLOCKSIZE
NAME = "manifest.json"
LARGEST_MANIFEST = 64 << 20


def write_bundle(snapshot: Snapshot, cache: Path | None, file: Path, show: Callable[[Meter], None]) -> None:
    """Write a complete snapshot into `file`; under another name until it is whole. Raises Failed."""
    place = Place((cache or cache_folder()).absolute(), snapshot.model)
    manifest = manifests.load(place.manifest(snapshot.commit))
    assert manifest is not None, "a snapshot that passed `check` has a manifest"
    kept = replace(manifest, entries=manifest.wanted, revision=snapshot.revision)
    meter = Meter(total=kept.size)
    beside = file.with_name(file.name + ".incomplete")
    try:
        with beside.open("wb") as stream:
            _write(kept, snapshot.path, stream, meter, show)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Failed(f"cannot write {file}", why=str(error), fix="name a file on a disk with room") from error


def _write(
    manifest: Manifest, root: Path, stream: io.BufferedWriter, meter: Meter, show: Callable[[Meter], None]
) -> None:
    data = json.dumps(manifest.as_dict(), indent=1).encode()
    stream.write(_header(NAME, len(data)) + data + _padding(len(data)))
    for entry in manifest.entries:
        stream.write(_header(entry.path, entry.size))
        meter.begin(entry.path, entry.size)
        with (root / entry.path).open("rb") as source:
            while piece := source.read(PIECE):
                stream.write(piece)
                meter.add(entry.path, len(piece))
                show(meter)
        stream.write(_padding(entry.size))
        meter.end(entry.path)
    stream.write(bytes(2 * BLOCK))


def _header(name: str, size: int) -> bytes:
    """A member's header: one block, or more for a long name or over 8 GiB. The same bytes every time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def offsets(manifest: Manifest, start: int) -> dict[str, int]:
    """Where each file's bytes begin, if the first member after the manifest begins at `start`."""
    found = {}
    for entry in manifest.entries:
        start += len(_header(entry.path, entry.size))
        found[entry.path] = start
        start += entry.size + -entry.size % BLOCK
    return found


def source_of(given: str, model: str, say: Callable[[str], None] = lambda line: None) -> Source:
    """The source that `--from` names: a bundle, a folder, the address of a bundle, or a Hub's address.

    Raises Refused where it is none of them.
    """
    if urlsplit(given).scheme in ("http", "https"):
        bundle = urlsplit(given).path.endswith(".tar")
        return BundleAt(given, model) if bundle else Hub(model, given.rstrip("/"), say=say)
    path = Path(given).expanduser()
    if path.is_file():
        return BundleFile(path, model)
    if path.is_dir():
        return Folder(path, model)
    raise Refused(f"no such file or folder: {given}", fix="name a bundle, a folder, or an http(s) address")


def _for_model(manifest: Manifest, model: str, revision: str, where: object) -> Manifest:
    if manifest.model != model:
        raise Refused(f"{where} holds {manifest.model}, not {model}", fix=f"fetch --model {manifest.model}")
    if revision not in (manifest.revision, manifest.commit, "main"):
        why = f"it holds {manifest.revision} at {manifest.commit}"
        raise Refused(f"{where} does not hold revision {revision}", why=why)
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
        with self.path.open("rb") as stream:
            length = _first_member(stream.read(BLOCK), self.path)
            manifest = _parsed(stream.read(length), self.path)
        self._offsets = offsets(manifest, BLOCK + length + -length % BLOCK)
        return _for_model(manifest, self.model, revision, self.path)

    def open(self, entry: Entry, first: int, end: int, connections: Connections) -> Reader:
        """Part of a member."""
        return read_part(self.path, self._offsets[entry.path], first, end)


def _first_member(header: bytes, where: object) -> int:
    """The manifest's length. Raises Refused where this is no bundle."""
    try:
        member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise Refused(f"{where} is no bundle", fix="make one with invoke fetch --bundle FILE") from error
    if member.name != NAME or not 0 < member.size <= LARGEST_MANIFEST:
        raise Refused(f"{where} is no bundle: it does not begin with {NAME}")
    return member.size


def _parsed(data: bytes, where: object) -> Manifest:
    try:
        return manifests.parse(data)
    except (ValueError, TypeError, KeyError) as error:
        raise Failed(
            f"{where}: its manifest cannot be read", why=str(error), fix="make the bundle again"
        ) from error


@dataclass
class Folder:
    """A folder: an unpacked bundle, or a Hugging Face cache that has the model with its manifest."""

    path: Path
    model: str
    _root: Path = Path()

    def manifest(self, revision: str) -> Manifest:
        """What the folder holds. Raises Refused where nothing in it can be proven."""
        if (self.path / NAME).is_file():
            self._root = self.path
            return _for_model(
                _parsed((self.path / NAME).read_bytes(), self.path), self.model, revision, self.path
            )
        if Place(self.path, self.model).folder.is_dir():
            snapshot = check(self.model, revision, self.path)
            self._root = snapshot.path
            found = manifests.load(Place(self.path, self.model).manifest(snapshot.commit))
            assert found is not None, "a snapshot that passed `check` has a manifest"
            return _for_model(replace(found, revision=revision), self.model, revision, self.path)
        why = f"it has neither {NAME} nor a cache of {self.model}"
        raise Refused(f"{self.path} holds nothing that can be proven", why=why, fix="unpack a bundle there")

    def open(self, entry: Entry, first: int, end: int, connections: Connections) -> Reader:
        """Part of a file. Raises Failed where it is missing."""
        try:
            return read_part(self._root / entry.path, 0, first, end)
        except OSError as error:
            raise Failed(f"{self._root / entry.path} cannot be read", why=str(error)) from error


@dataclass
class BundleAt:
    """A bundle on a plain web server, read in ranges."""

    url: str
    model: str
    patience: Patience = field(default_factory=Patience)
    _offsets: dict[str, int] = field(default_factory=dict)

    def manifest(self, revision: str) -> Manifest:
        """The bundle's first member, and how long the bundle is."""
        connections = Connections(self.patience)
        try:
            length = _first_member(self._read(connections, 0, BLOCK), self.url)
            manifest = _parsed(self._read(connections, BLOCK, BLOCK + length), self.url)
        except Transient as trouble:
            raise Failed(f"{self.url} does not answer", why=trouble.reason, fix="try again") from trouble
        finally:
            connections.close()
        self._offsets = offsets(manifest, BLOCK + length + -length % BLOCK)
        return _for_model(manifest, self.model, revision, self.url)

    def open(self, entry: Entry, first: int, end: int, connections: Connections) -> Reader:
        """Part of a member, through a range of the bundle."""
        offset = self._offsets[entry.path]
        body = self._get(connections, offset + first, offset + end)
        body.position, body.end = body.position - offset, body.end - offset
        return body

    def _read(self, connections: Connections, first: int, end: int) -> bytes:
        body = self._get(connections, first, end)
        data = bytearray(end - first)
        got = 0
        while got < len(data):
            got += body.readinto(memoryview(data)[got:])
        body.close()
        return bytes(data)

    def _get(self, connections: Connections, first: int, end: int) -> Body:
        asked = {"Range": f"bytes={first}-{end - 1}"}
        try:
            connection, response, _ = follow(connections, self.url, asked, "", origin(self.url))
        except Answered as answer:
            raise refusal(self.url, answer.status, "") from answer
        if response.status == 200:
            connection.close()
            why = "the server ignores ranges, and without them every file would cost the whole bundle"
            raise Failed(
                f"{self.url} cannot be read in parts", why=why, fix="download it, then fetch --from FILE"
            )
        return Body(connection, response, *span_of(response))
