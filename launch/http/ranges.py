"""Download ranges of a file over HTTP: follow redirects, send the token to the Hub only, read into a buffer.

huggingface_hub's own download is CPU-bound at a fraction of the speed of a loop over `readinto`, and starts a
file again after a kill (benchmarks/fetch.py, docs/explanation/measurements.md). Only file contents are read this way.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from launch.http.client import MOST_REDIRECTS, REDIRECTS
from launch.http.compressed import encoding
from launch.http.connection import reason
from launch.http.pool import ConnectionPool
from launch.http.retry import LASTING, Headers, TransientError, retry_after
from launch.http.url import Origin, origin, printable, redirect_target

BUSY = frozenset({408, 425, 429, *range(500, 600)})


class UnexpectedStatus(Exception):
    """The server answered with something else than the file."""

    def __init__(self, status: int, headers: Headers, url: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers, self.url = status, headers, url


@dataclass
class Body:
    """Part of a file that is being received. `position` counts from the start of the file, `end` is exclusive."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    position: int
    end: int
    _received: int = 0

    def readinto(self, view: memoryview) -> int:
        """Read what has arrived, at most up to `end`. Raises TransientError if the connection breaks."""
        try:
            count = self._read(view[: self.end - self.position])
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # ValueError and AttributeError: another thread cut the connection, to end a silent one.
            raise TransientError(f"the connection broke at byte {self.position}: {reason(error)}") from error
        if count == 0:
            raise self._ended()
        self.position += count
        self._received += count
        return count

    def _ended(self) -> TransientError:
        """Return the error for a response that ends early: a sign-in page without a length stays a sign-in page."""
        ends = f"the response ends at byte {self.position} of {self.end}"
        if str(self.response.headers.get("Content-Type") or "").lower().startswith("text/html"):
            return TransientError(
                f"{ends}, and is a web page (a login page, or a proxy's?)", attempts=LASTING
            )
        return TransientError(ends)

    def _read(self, view: memoryview) -> int:
        announced = self.response.length  # Content-Length; it may be less than the range that was promised
        if announced is not None:
            view = view[: announced - self._received]
        if self.response.chunked:
            return self.response.readinto(view[: 1 << 16])  # it waits until the view is full
        return self.response.fp.readinto1(view)  # one recv, so that slow and silent can be told apart

    def close(self) -> None:
        """Keep the connection for the next request if the response was read to its end, else close it."""
        complete = self.position >= self.end and self.response.length in (None, self._received)
        if self.response.chunked or not complete:
            self.connection.close()
        self.response.close()


def follow(
    pool: ConnectionPool, url: str, headers: Mapping[str, str], credentials: str, home: Origin
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse, str]:
    """GET through redirects; return also the final URL. `credentials` are sent to the origin `home` only.

    Raises UnexpectedStatus for a status other than 200 and 206, TransientError for one that may pass.
    """
    for _ in range(MOST_REDIRECTS + 1):
        secret = {"Authorization": credentials} if credentials and origin(url) == home else {}
        connection, response = pool.get(url, {**headers, **secret})
        if response.status in (200, 206):
            return connection, response, url
        if response.status in BUSY:
            seconds = retry_after(response.headers)
            _discard(connection, response)
            status = printable(f"{response.status} {response.reason[:60]}")
            raise TransientError(f"{urlsplit(url).hostname} answered {status}", seconds)
        location = response.headers.get("Location")
        _discard(connection, response)
        if response.status not in REDIRECTS or not location:
            raise UnexpectedStatus(response.status, response.headers, url)
        target = redirect_target(url, location)
        if not target:
            shown = printable(location)[:80]
            raise TransientError(
                f"{urlsplit(url).hostname} redirects to no valid URL: {shown}", attempts=LASTING
            )
        url = target
    raise TransientError(
        f"{urlsplit(url).hostname}: redirected more than {MOST_REDIRECTS} times", attempts=LASTING
    )


def _discard(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
    """Read a short response to its end, so that the connection can be used again; cut a long one."""
    if response.length is not None and response.length < 1 << 16:
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read()
            return
    connection.close()


def content_range(response: http.client.HTTPResponse, size: int | None = None) -> tuple[int, int]:
    """Return first byte and end (exclusive) of the part in a response. Raises TransientError for another file."""
    if name := encoding(response.headers):
        raise _other_file(f"the server sent the file compressed ({printable(name)})")
    if response.status == 200 and size is not None:
        length = response.headers.get("Content-Length")
        if length is not None and length != str(size):
            raise _other_file(f"the response has {printable(length)} bytes, the listing says {size}")
        return 0, size
    header = response.headers.get("Content-Range", "")
    part = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", header)
    if not part:
        raise _other_file(f"the response has no valid range: {printable(header) or 'none'}")
    if size is not None and part[3] not in ("*", str(size)):
        raise _other_file(f"the server has {part[3]} bytes, the listing says {size}")
    first, end = int(part[1]), int(part[2]) + 1
    if not first < end:
        raise _other_file(f"the response has an empty range: {printable(header)}")
    return first, end


def _other_file(text: str) -> TransientError:
    """Return the error for a response that is not part of the listed file: a changed file, or a login page."""
    return TransientError(text, attempts=LASTING)
