"""Ranges of a file over HTTP: through redirects, with the token for the Hub alone, straight into a buffer.

huggingface_hub's own download is CPU-bound at a fraction of what a loop over `readinto` reaches, and starts a
file again after a kill (benchmarks/fetch.py, docs/explanation/measurements.md); all but these bytes goes through huggingface_hub.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from launch.http.connection import reason
from launch.http.pool import ConnectionPool
from launch.http.retry import Headers, Transient, asked_wait
from launch.http.url import Origin, is_http_url, origin, printable

MOST_REDIRECTS = 5
BUSY = frozenset({408, 425, 429, *range(500, 600)})


class Answered(Exception):
    """The server answered, and it was not the bytes."""

    def __init__(self, status: int, headers: Headers, url: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers, self.url = status, headers, url


@dataclass
class Body:
    """Bytes of a file that are on their way. `position` counts from the file's start, `end` is exclusive."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    position: int
    end: int
    _taken: int = 0

    def readinto(self, view: memoryview) -> int:
        """Read what has come, at most up to `end`. Raises Transient where the connection breaks."""
        try:
            count = self._read(view[: self.end - self.position])
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # ValueError and AttributeError: another thread cut the connection, to end a silent stream.
            raise Transient(f"the connection broke at byte {self.position}: {reason(error)}") from error
        if count == 0:
            raise Transient(f"the server's answer ends at byte {self.position} of {self.end}")
        self.position += count
        self._taken += count
        return count

    def _read(self, view: memoryview) -> int:
        announced = self.response.length  # Content-Length; it may be less than the range that was promised
        if announced is not None:
            view = view[: announced - self._taken]
        if self.response.chunked:
            return self.response.readinto(view[: 1 << 16])  # it waits for all of it
        return self.response.fp.readinto1(view)  # one recv, so that slow and silent can be told apart

    def close(self) -> None:
        """Give the connection back if all of it was read; otherwise it is of no more use."""
        whole = self.position >= self.end and self.response.length in (None, self._taken)
        if self.response.chunked or not whole:
            self.connection.close()
        self.response.close()


def follow(
    connections: ConnectionPool, url: str, headers: Mapping[str, str], who: str, home: Origin
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse, str]:
    """GET, through redirects; also where they led. `who` asks (`url.authorization`) is told to `home` alone.

    Raises Answered for a status that is not 200 or 206, Transient for one that asks to come again.
    """
    for _ in range(MOST_REDIRECTS + 1):
        secret = {"Authorization": who} if who and origin(url) == home else {}
        connection, response = connections.get(url, {**headers, **secret})
        if response.status in (200, 206):
            return connection, response, url
        if response.status in BUSY:
            after = asked_wait(response.headers)
            _discard(connection, response)
            said = printable(f"{response.status} {response.reason[:60]}")
            raise Transient(f"{urlsplit(url).hostname} answered {said}", after)
        where = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or not where:
            _discard(connection, response)
            raise Answered(response.status, response.headers, url)
        _discard(connection, response)
        url = led(url, where)
    raise Transient(f"{urlsplit(url).hostname}: redirected more than {MOST_REDIRECTS} times")


def led(url: str, where: str) -> str:
    """Where a redirect leads. Raises Transient where that is no address: the next answer may be a better one."""
    try:
        found = urljoin(url, quote(where.encode("latin-1"), safe="%/:?#[]@!$&'()*+,;=~"))
    except ValueError:
        found = ""
    if not is_http_url(found):
        raise Transient(f"{urlsplit(url).hostname} redirects to what is no address: {printable(where)[:80]}")
    return found


def _discard(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
    """Read a short answer to its end, so that the connection can be used again; drop a long one."""
    length = response.length
    if length is not None and length < 1 << 16:
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read()
            return
    connection.close()


def span_of(response: http.client.HTTPResponse, size: int | None = None) -> tuple[int, int]:
    """First byte and end (exclusive) of what a response carries. Raises Transient for another file."""
    if response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        raise Transient("the server sent the file compressed, which nobody asked for")
    if response.status == 200 and size is not None:
        length = response.headers.get("Content-Length")
        if length is not None and length != str(size):
            raise Transient(
                f"the server answers with {printable(length)} bytes where the listing says {size}"
            )
        return 0, size
    said = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", said)
    if not found:
        raise Transient(f"the server answers with another range: {printable(said) or 'none'}")
    if size is not None and found[3] not in ("*", str(size)):
        raise Transient(f"the server has {found[3]} bytes where the listing says {size}")
    first, end = int(found[1]), int(found[2]) + 1
    if not first < end:
        raise Transient(f"the server answers with no range: {printable(said)}")
    return first, end
