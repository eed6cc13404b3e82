"""Send one HTTP request, with streamed bodies both ways: for registries, wheel indexes, Hub metadata and servers.

Bulk downloads use `ranges.py` instead, over the same connections.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from errors import Failed
from launch.http.connection import Route, reason
from launch.http.url import authorization, is_http_url, origin, printable, public, redirect_target

CHUNK = 1 << 20
LIMIT = 64 << 20
MOST_REDIRECTS = 5
CHECK_REDIRECT = "check the address (for a Hub: HF_ENDPOINT) and the proxy"
REDIRECTS = (301, 302, 303, 307, 308)


class NotFound(Failed):
    """The server answered 404."""


class NoResponse(Failed):
    """No complete response came: nothing listens, the connection broke, or it took too long."""


@dataclass
class Response:
    """A response whose body is read on demand, once. Header names are in lower case."""

    url: str
    status: int
    headers: dict[str, str]
    _raw: http.client.HTTPResponse
    _connection: http.client.HTTPConnection

    def read(self, limit: int = LIMIT) -> bytes:
        """Read the whole body. Raises Failed if it is longer than `limit` bytes."""
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                self.close()
                raise Failed(f"{public(self.url)} sends more than {limit >> 20} MiB", fix="check the URL")
        return bytes(body)

    def summary(self) -> str:
        """Read the body and return its beginning as one line, for an error message."""
        return printable(" ".join(self.read()[:300].decode(errors="replace").split()))

    def chunks(self) -> Iterator[bytes]:
        """Read the body in pieces of CHUNK bytes. Raises NoResponse if it breaks off."""
        with self._closing():
            while chunk := self._raw.read(CHUNK):
                yield chunk
            if self._raw.length:
                raise NoResponse(f"{public(self.url)} ended {self._raw.length} bytes too early")

    def lines(self) -> Iterator[bytes]:
        """Read the body line by line, each as soon as it arrives. Raises NoResponse if it breaks off."""
        with self._closing():
            yield from self._raw

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise NoResponse(f"{public(self.url)} broke off", why=reason(error)) from None
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection; the rest of the body is not read."""
        self._raw.close()
        self._connection.close()


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    timeout: float = 60,
    direct: bool = False,
) -> Response:
    """Send a request; `timeout` limits connecting and each wait for data. A login in the URL is sent too.

    GET and HEAD follow redirects; credentials go to the first origin only. `direct` uses no proxy. Every status
    is a response, except a refused proxy login. Raises NoResponse, or Failed if a retry cannot help.
    """
    if not is_http_url(url):
        raise Failed(f"'{printable(url)}' is not an http(s) URL", fix="write it as http://host/path")
    sent = {name.title(): value for name, value in (headers or {}).items()}
    credentials, first = sent.pop("Authorization", "") or authorization(url), url
    for _ in range(MOST_REDIRECTS + 1):
        secret = {"Authorization": credentials} if credentials and origin(url) == origin(first) else {}
        response = _send(method, url, {**sent, **secret}, body, timeout, direct)
        if response.status not in REDIRECTS or method not in ("GET", "HEAD"):
            return response
        response.close()
        location = response.headers.get("location", "")
        if not (target := redirect_target(url, location)):
            why = f"its Location is '{printable(location)}'" if location else "it has no Location header"
            raise Failed(f"{public(url)} redirects to no valid URL", why=why, fix=CHECK_REDIRECT)
        url = target
    what = f"{public(first)} redirects more than {MOST_REDIRECTS} times"
    raise Failed(what, why=f"the last target is {public(url)}", fix=CHECK_REDIRECT)


def get(url: str, timeout: float = 60) -> Response:
    """GET a resource. Raises NotFound for 404, and Failed for every other status than 200."""
    response = request("GET", url, timeout=timeout)
    if response.status == 404:
        response.close()
        raise NotFound(f"{public(url)} does not exist (404)")
    if response.status != 200:
        raise Failed(f"{public(url)} answered {response.status}", why=response.summary())
    return response


def _send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | Iterable[bytes] | None,
    timeout: float,
    direct: bool,
) -> Response:
    route = Route.to(url, {} if direct else None)
    connection = route.connection(timeout)
    try:
        connection.request(
            method, route.target, body=body, headers={**route.headers, "Connection": "close", **headers}
        )
        raw = connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        raise route.untrusted(error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        route.require_proxy_accepts(error)
        raise NoResponse(
            route.no_response(error), fix="check the network, the proxy and the address"
        ) from None
    route.require_proxy_accepts(raw.status)
    return Response(
        url, raw.status, {name.lower(): value for name, value in raw.getheaders()}, raw, connection
    )
