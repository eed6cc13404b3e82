"""Let huggingface_hub send its requests through Slipway's HTTP client: same proxies, certificates and limits."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import httpx2
from huggingface_hub import set_client_factory

from launch.http import client, compressed
from launch.http.retry import RetryPolicy, TransientError
from launch.http.url import printable

LARGEST_RESPONSE = 16 << 20  # bytes of JSON; a page of a listing has 1000 entries of about 300


class _Transport(httpx2.BaseTransport):
    """Sends the requests of one httpx2 client; their timeouts are ignored (model_info sets none at all)."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read its response, up to a limit. Raises Failed, or TransientError."""
        skipped = ("host", "connection", "accept-encoding")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in skipped}
        response = client.request(
            request.method,
            str(request.url),
            headers=headers,
            body=request.read() or None,
            timeout=self._timeout,
        )
        content = response.read(LARGEST_RESPONSE)
        if name := compressed.encoding({"Content-Encoding": response.headers.pop("content-encoding", "")}):
            if name not in compressed.ENCODINGS:
                text = f"its response is compressed ({printable(name)}), although the request excluded that"
                raise TransientError(text, attempts=compressed.USELESS)
            response.headers.pop("content-length", None)
            content = compressed.unpack(content, LARGEST_RESPONSE)
        return httpx2.Response(response.status, headers=response.headers, content=content)


@contextlib.contextmanager
def session(policy: RetryPolicy) -> Iterator[None]:
    """Let huggingface_hub use Slipway's HTTP client within the block, and log errors only.

    Sessions of several threads may overlap: they have the policy of the first.
    """
    _SESSIONS.enter(policy)
    try:
        yield
    finally:
        _SESSIONS.leave()


class _Sessions:
    """The open sessions: the library has one client and one log for all threads."""

    def __init__(self) -> None:
        self._open = 0
        self._level = logging.NOTSET
        self._log = logging.getLogger("huggingface_hub")
        self._lock = threading.Lock()

    def enter(self, policy: RetryPolicy) -> None:
        """Install the client with the first session."""
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._level = self._log.level
                self._log.setLevel(logging.ERROR)
                set_client_factory(lambda: httpx2.Client(transport=_Transport(policy.metadata_timeout)))

    def leave(self) -> None:
        """Restore the library's own client with the last session."""
        with self._lock:
            self._open -= 1
            if not self._open:
                set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=None))
                self._log.setLevel(self._level)


_SESSIONS = _Sessions()
