"""A public model on ModelScope, as a source of files. Its listing has the SHA-256 of each file.

The routes are those of ModelScope's public client (package modelscope_hub 0.5.1): `repo/files` lists a revision,
without pages and at most 3000 files; `repo` sends one file and may redirect to a storage. No login is sent.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from errors import Failed, Refused, SlipwayError
from launch.http import client
from launch.http.compressed import ENCODINGS, CompressedBody, encoding
from launch.http.pool import ConnectionPool
from launch.http.ranges import BUSY, Body, UnexpectedStatus, content_range, follow
from launch.http.retry import LASTING, SILENT, RetryPolicy, TransientError, call_with_retries
from launch.http.url import is_http_url, origin, printable, public
from launch.weights.cache import COMMIT
from launch.weights.manifest import Entry, Manifest, checked

ENDPOINT = "https://modelscope.cn"
MOST_LISTED = 3000  # the server cuts a longer listing without saying so
LARGEST_LISTING = 16 << 20
BRANCHES = {"main": "master"}  # the same branch by its name there


@dataclass
class ModelScope:
    """A model on ModelScope (`source.Source`)."""

    model: str
    endpoint: str = ENDPOINT
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=6))
    _revision: str = field(default="", repr=False)

    def manifest(self, revision: str) -> Manifest:
        """List the files of a branch or tag. Raises Failed, for example for a commit, which is the Hub's."""
        where = public(self.endpoint)
        if COMMIT.fullmatch(revision):
            fix = "name the Hub, or a mirror of it, before modelscope"
            raise Failed(f"{where} does not know the commits of the Hub", why=revision, fix=fix)
        self._revision = BRANCHES.get(revision, revision)
        try:
            files = call_with_retries(self.policy, self._list, self._transient, where)
        except TransientError as error:
            fix = "check the network and MODELSCOPE_ENDPOINT, or leave modelscope out"
            raise Failed(f"{where} does not answer for {self.model}", why=error.reason, fix=fix) from error
        if len(files) >= MOST_LISTED:
            why = f"it never lists more than {MOST_LISTED}, so some may be missing"
            raise Failed(
                f"{where} lists {len(files)} files of {self.model}", why=why, fix="fetch from the Hub"
            )
        entries = tuple(_entry(one, where) for one in files if one["Type"] != "tree")
        return checked(Manifest(self.model, revision, _commit(entries), entries, source=where))

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Body | CompressedBody:
        """GET a range of a file."""
        url = f"{self._url}/repo?Revision={quote_plus(self._revision)}&FilePath={quote_plus(entry.path)}"
        headers = {"Range": f"bytes={first}-{end - 1}"} if (first, end) != (0, entry.size) else {}
        try:
            connection, response, _ = follow(pool, url, headers, "", origin(self.endpoint))
        except UnexpectedStatus as error:
            text = f"{public(error.url)} answers {error.status} for {entry.path}"
            raise TransientError(text, attempts=LASTING) from error
        if response.status == 200 and encoding(response.headers) in ENCODINGS:
            return CompressedBody(connection, response, entry.size)
        return Body(connection, response, *content_range(response, entry.size))

    @property
    def _url(self) -> str:
        return f"{self.endpoint}/api/v1/models/{self.model}"

    def _list(self) -> list[dict[str, Any]]:
        """Return the listing's files. Raises Failed, or an error that `_transient` explains."""
        query = f"Revision={quote_plus(self._revision)}&Recursive=True"
        response = client.request(
            "GET", f"{self._url}/repo/files?{query}", timeout=self.policy.metadata_timeout
        )
        content = response.read(LARGEST_LISTING)
        if response.status in BUSY:
            raise TransientError(f"it answered {response.status}")
        if response.status != 200:
            raise self._no_model(f"it answered {response.status}")
        answer = json.loads(content)
        if answer.get("Success") is False or answer.get("Code", 200) != 200:
            raise self._no_model(printable(str(answer.get("Message") or answer.get("Code"))))
        files = answer["Data"]["Files"]
        for one in files:
            _require_types(one)
        return list(files)

    def _no_model(self, why: str) -> Failed:
        what = f"{public(self.endpoint)} does not have {self.model} at {printable(self._revision)}"
        return Failed(what, why=why, fix="check the name; a model may have another name there")

    def _transient(self, error: Exception) -> TransientError:
        if isinstance(error, TransientError):
            return error
        if isinstance(error, client.NoResponse):
            silent = isinstance(error.__context__, TimeoutError)
            return TransientError(error.what, attempts=SILENT if silent else None)
        if isinstance(error, SlipwayError):
            raise error
        if isinstance(error, ValueError | KeyError | TypeError | AttributeError | RecursionError):
            return TransientError("its response is not ModelScope's JSON", attempts=LASTING)
        raise error


def endpoint_of(environ: dict[str, str] | os._Environ[str] = os.environ) -> str:
    """Return MODELSCOPE_ENDPOINT, or the address of ModelScope. Raises Refused."""
    endpoint = (environ.get("MODELSCOPE_ENDPOINT") or ENDPOINT).strip().rstrip("/")
    if not is_http_url(endpoint):
        fix = "write it as http://host or https://host"
        raise Refused(f"MODELSCOPE_ENDPOINT is not a URL: '{printable(endpoint)[:100]}'", fix=fix)
    return endpoint


def _require_types(one: Any) -> None:
    """Raise TypeError for an entry that is not a file."""
    if not (isinstance(one["Path"], str) and isinstance(one["Type"], str) and isinstance(one["Size"], int)):
        raise TypeError("a file has a path, a type and a size")


def _entry(one: dict[str, Any], where: str) -> Entry:
    """Return a file of the listing. Raises Failed for one without a hash, with which nothing can be verified."""
    sha256 = one.get("Sha256")
    if not isinstance(sha256, str) or not sha256:
        raise Failed(f"{where} lists no hash of {printable(one['Path'])}", fix="fetch from the Hub")
    return Entry(one["Path"], one["Size"], sha256.lower(), sha256.lower())


def _commit(entries: tuple[Entry, ...]) -> str:
    """Return 40 hex digits from names and contents: `serve-weights` computes the same for a folder."""
    listing = "".join(f"{one.sha256}  {one.path}\n" for one in sorted(entries, key=lambda one: one.path))
    return hashlib.sha1(listing.encode()).hexdigest()
