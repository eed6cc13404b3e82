"""Read the files of one commit on a Hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from launch.http.pool import ConnectionPool
from launch.http.ranges import Body, UnexpectedStatus, content_range, follow
from launch.http.retry import TransientError
from launch.http.url import authorization, origin
from launch.weights.manifest import Entry
from launch.weights.sources.hub_errors import refusal, token_rejected


@dataclass
class HubFiles:
    """The files of one commit. A file's storage URL is requested once, and again when it fails."""

    endpoint: str
    model: str
    commit: str
    token: str = field(default="", repr=False)
    _storage_urls: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Body:
        """GET a range of a file, from its storage URL if that is known."""
        hub_url = f"{self.endpoint}/{self.model}/resolve/{self.commit}/{quote(entry.path)}"
        url = self._storage_urls.pop(entry.blob, hub_url)
        headers = {"Range": f"bytes={first}-{end - 1}"} if (first, end) != (0, entry.size) else {}
        credentials = authorization(self.endpoint, self.token)
        try:
            connection, response, url = follow(pool, url, headers, credentials, origin(self.endpoint))
        except UnexpectedStatus as error:
            raise self.explain(entry, error, error.url != hub_url) from error
        position, stop = content_range(response, entry.size)
        if url != hub_url:
            self._storage_urls[entry.blob] = url
        return Body(connection, response, position, stop)

    def explain(self, entry: Entry, error: UnexpectedStatus, redirected: bool) -> Exception:
        """Return TransientError if a storage URL may have expired, else Failed."""
        if error.status == 416:
            return TransientError(f"the server has fewer bytes of {entry.path} than it listed")
        code = error.headers.get("X-Error-Code") or ""
        # The Hub itself explains a refusal; a storage, which may be on the same host, does not.
        if origin(error.url) != origin(self.endpoint) or (redirected and not code):
            expired = error.status in (400, 401, 403, 404, 410)
            why = "the URL has expired" if expired else "it sends no content"
            return TransientError(f"the storage answers {error.status} for {entry.path}: {why}")
        if "is disabled" in (error.headers.get("X-Error-Message") or ""):
            code = code or "DisabledRepo"
        if error.status == 401 and self.token and not code:
            return token_rejected(f"{self.model}: {entry.path}")
        return refusal(self.model, error.status, code, entry.path)
