"""Read the files of one commit on a Hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from launch.http.compressed import ENCODINGS, CompressedBody, encoding
from launch.http.pool import ConnectionPool
from launch.http.ranges import Body, UnexpectedStatus, content_range, follow
from launch.http.retry import LASTING, TransientError
from launch.http.url import authorization, origin
from launch.weights.manifest import Entry
from launch.weights.sources.hub_errors import refusal, token_rejected

FRESH_REFUSALS = 4  # attempts with a new URL each, about 4 s, until a storage is given up


@dataclass
class HubFiles:
    """The files of one commit. A file's storage URL is requested once, and again when it fails."""

    endpoint: str
    model: str
    commit: str
    token: str = field(default="", repr=False)
    _storage_urls: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Body | CompressedBody:
        """GET a range of a file, from its storage URL if that is known."""
        hub_url = f"{self.endpoint}/{self.model}/resolve/{self.commit}/{quote(entry.path)}"
        url = self._storage_urls.pop(entry.blob, hub_url)
        fresh = url == hub_url
        headers = {"Range": f"bytes={first}-{end - 1}"} if (first, end) != (0, entry.size) else {}
        credentials = authorization(self.endpoint, self.token)
        try:
            connection, response, url = follow(pool, url, headers, credentials, origin(self.endpoint))
            if response.status == 206 and encoding(response.headers) in ENCODINGS:
                connection.close()  # a part of the compressed file is of no use
                connection, response, url = follow(pool, hub_url, {}, credentials, origin(self.endpoint))
        except UnexpectedStatus as error:
            raise self.explain(entry, error, error.url != hub_url, fresh) from error
        if response.status == 200 and encoding(response.headers) in ENCODINGS:
            return CompressedBody(connection, response, entry.size)
        position, stop = content_range(response, entry.size)
        if url != hub_url:
            self._storage_urls[entry.blob] = url
        return Body(connection, response, position, stop)

    def explain(
        self, entry: Entry, error: UnexpectedStatus, redirected: bool, fresh: bool = False
    ) -> Exception:
        """Return TransientError if a storage URL may have expired, else Failed. `fresh`: the Hub has just named it."""
        if error.status == 416:
            text = f"the server has fewer bytes of {entry.path} than it listed"
            return TransientError(text, attempts=LASTING)
        code = error.headers.get("X-Error-Code") or ""
        # The Hub itself explains a refusal; a storage, which may be on the same host, does not.
        if origin(error.url) != origin(self.endpoint) or (redirected and not code):
            return self._storage_error(entry, error, fresh)
        if "is disabled" in (error.headers.get("X-Error-Message") or ""):
            code = code or "DisabledRepo"
        if error.status == 401 and self.token and not code:
            return token_rejected(f"{self.model}: {entry.path}")
        return refusal(self.model, error.status, code, entry.path)

    def _storage_error(self, entry: Entry, error: UnexpectedStatus, fresh: bool) -> TransientError:
        """Return the error for a storage that refuses. A URL that the Hub has just named cannot have expired."""
        host = urlsplit(error.url).hostname
        text = f"the storage {host} answers {error.status} for {entry.path}"
        if not fresh and error.status in (400, 401, 403, 404, 410):
            return TransientError(f"{text}: the URL has expired")
        return TransientError(
            f"{text}, also with the URL that the Hub has just named; --xet may bring it",
            attempts=FRESH_REFUSALS,
        )
