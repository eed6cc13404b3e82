"""HTTP as registries and wheel indexes need it: TLS with this host's certificates, its proxy, redirects.

http.client alone: bodies are streamed both ways, and nothing is read that was not asked for.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from errors import Failed
from images import host_settings

CHUNK = 1 << 20
LIMIT = 64 << 20
_REDIRECTS = (301, 302, 303, 307, 308)


class Gone(Failed):
    """The other side answered that it has no such thing (404)."""


@dataclass
class Answer:
    """A response whose body is read when it is wanted. Header names are lower case."""

    url: str
    status: int
    headers: dict[str, str]
    _raw: http.client.HTTPResponse
    _connection: http.client.HTTPConnection

    def read(self, limit: int = LIMIT) -> bytes:
        """The whole body. Raises Failed where it is longer than what is asked for may be."""
        found = bytearray()
        for piece in self.chunks():
            found += piece
            if len(found) > limit:
                self._connection.close()
                raise Failed(f"{self.url} says more than {limit >> 20} MiB: that is not what was asked for")
        return bytes(found)

    def words(self) -> str:
        """The beginning of what it says, in one line: why it is no good answer."""
        return " ".join(self.read()[:300].decode(errors="replace").split())

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece. Raises Failed where it ends too early."""
        try:
            while piece := self._raw.read(CHUNK):
                yield piece
            if self._raw.length:
                raise Failed(f"{self.url} ended {self._raw.length} bytes too early")
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{self.url} broke off", why=_plain(error)) from None
        finally:
            self._connection.close()


def send(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    timeout: float = 60,
) -> Answer:
    """One request, followed where a GET is sent elsewhere; credentials stay with the first host.

    Raises Failed where nobody answers; a status of 400 and more is an answer.
    """
    sent = dict(headers or {})
    for _ in range(5):
        answer = _once(method, url, sent, body, timeout)
        if answer.status not in _REDIRECTS or method not in ("GET", "HEAD"):
            return answer
        there = _next(url, answer)
        if urlsplit(there)[:2] != urlsplit(url)[:2]:
            sent.pop("Authorization", None)
        answer.read()
        url = there
    raise Failed(f"{url} only redirects")


def _next(url: str, answer: Answer) -> str:
    try:
        there = urljoin(url, answer.headers["location"])
        urlsplit(there)
    except (KeyError, ValueError):
        raise Failed(f"{url} redirects to no address", why=answer.headers.get("location", "")) from None
    return there


def fetch(url: str) -> Answer:
    """GET, or Gone, or Failed with what was answered instead."""
    answer = send("GET", url)
    if answer.status == 404:
        raise Gone(f"{url} does not exist (404)")
    if answer.status != 200:
        raise Failed(
            f"{url} answered {answer.status}",
            why=" ".join(answer.read()[:200].decode(errors="replace").split()),
        )
    return answer


def _once(method: str, url: str, headers: Mapping[str, str], body: Any, timeout: float) -> Answer:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failed(f"'{url}' is no address of the web", why="http:// or https:// and a host are wanted")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connect(parts.scheme, parts.hostname or "", parts.port, timeout)
        connection.request(method, target or "/", body=body, headers=dict(headers))
        raw = connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(
            f"{parts.scheme}://{parts.netloc} does not answer",
            why=_plain(error),
            fix="check the network, the proxy and the certificates of this host",
        ) from None
    return Answer(url, raw.status, {k.lower(): v for k, v in raw.getheaders()}, raw, connection)


def _connect(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    proxy = urlsplit("" if proxy_bypass(host) else getproxies().get(scheme, ""))
    where = (proxy.hostname, proxy.port) if proxy.hostname else (host, port)
    if scheme == "http":
        return http.client.HTTPConnection(where[0], where[1], timeout=timeout)
    connection = http.client.HTTPSConnection(where[0], where[1], timeout=timeout, context=_certificates())
    if proxy.hostname:
        connection.set_tunnel(host, port)
    return connection


def _certificates() -> ssl.SSLContext:
    trusted = ssl.create_default_context()
    if bundle := host_settings.ca_bundle({}):
        trusted.load_verify_locations(bundle)
    return trusted


def _plain(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
