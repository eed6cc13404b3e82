"""One HTTP connection: with TLS or without, straight to the host or through a proxy."""

from __future__ import annotations

import functools
import http.client
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from errors import Failed
from launch.http import happy_eyeballs, proxies
from launch.http.retry import LASTING, REFUSED, UNKNOWN_NAME, TransientError
from launch.http.url import basic_login, printable

AGENT = "slipway/0.1"
CA_BUNDLE_VARIABLES = (
    "SLIPWAY_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
)
NOT_YET_VALID, EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
MOST_HINTS = 20  # 1xx responses before the real one


class _HintSkippingResponse(http.client.HTTPResponse):
    """A response without the hints that may precede it (103 Early Hints); Python itself skips only 100."""

    def _read_status(self) -> Any:
        for _ in range(MOST_HINTS):
            status_line = super()._read_status()  # type: ignore[misc]
            if not 100 <= status_line[1] < 200 or status_line[1] == 101:
                return status_line
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"it sends more than {MOST_HINTS} responses of status 1xx")


class _PlainConnection(http.client.HTTPConnection):
    response_class = _HintSkippingResponse


class _TlsConnection(http.client.HTTPSConnection):
    response_class = _HintSkippingResponse


def _racing(connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
    """Let a connection try all addresses of its host; http.client has this attribute for other ways to connect."""
    connection._create_connection = happy_eyeballs.connect  # type: ignore[attr-defined]
    return connection


@dataclass(frozen=True)
class Route:
    """How a request reaches a URL: straight to its host, or through a proxy."""

    url: SplitResult
    proxy: SplitResult | None

    @classmethod
    def to(cls, url: str, environment: Mapping[str, str] | None = None) -> Route:
        """Return the route to a valid URL. Raises Failed if the proxy for it cannot be used."""
        parts = urlsplit(url)
        return cls(parts, proxies.proxy_for(parts, environment))

    @property
    def target(self) -> str:
        """The target of the request line: the whole URL for an http proxy, else path and query."""
        path = (self.url.path or "/") + (f"?{self.url.query}" if self.url.query else "")
        if self.proxy and self.url.scheme == "http":
            return f"http://{self.url.netloc.rpartition('@')[2]}{path}"
        return path

    @property
    def headers(self) -> dict[str, str]:
        """Headers that every request on this route has."""
        login = basic_login(self.proxy) if self.proxy and self.url.scheme == "http" else ""
        return {
            "Accept-Encoding": "identity",
            "User-Agent": AGENT,
            **({"Proxy-Authorization": login} if login else {}),
        }

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """Return a new connection; it connects with its first request. Raises Failed for a bad CA bundle."""
        # Always with a port: without one, http.client takes the last group of an IPv6 address for it.
        host, port = str(self.url.hostname), self._port
        if self.proxy:
            host, port = str(self.proxy.hostname), proxies.port(self.proxy)
        if self.url.scheme == "http":
            return _racing(_PlainConnection(host, port, timeout=timeout))
        tls = _racing(_TlsConnection(host, port, timeout=timeout, context=tls_context()))
        if self.proxy:
            login = basic_login(self.proxy)
            tls.set_tunnel(
                str(self.url.hostname), self._port, {"Proxy-Authorization": login} if login else None
            )
        return tls

    def require_proxy_accepts(self, problem: int | BaseException) -> None:
        """Raise Failed if a status, or a failed CONNECT, means that the proxy refuses, with or without a login."""
        refused = re.match(r"Tunnel connection failed: (\d+)", str(problem))
        if self.proxy and (problem == 407 or (refused and refused[1] == "407")):
            raise proxies.login_refused(self.proxy, self.url.scheme)
        if self.proxy and refused and refused[1] in proxies.FORBIDDEN:
            raise proxies.host_refused(self.proxy, f"{self.url.hostname}:{self._port}", refused[1])

    @property
    def _port(self) -> int:
        return self.url.port or (443 if self.url.scheme == "https" else 80)

    def untrusted(self, error: ssl.SSLCertVerificationError) -> Failed:
        """Return the error for a certificate that is not valid, or that no trusted CA has signed."""
        if error.verify_code in (NOT_YET_VALID, EXPIRED):
            state = "is not valid yet" if error.verify_code == NOT_YET_VALID else "has expired"
            return Failed(
                f"{self.url.hostname}: its certificate {state}",
                why=f"the clock of this host says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                fix="if the clock is wrong, set it (timedatectl); else the certificate must be renewed there",
            )
        return Failed(
            f"{self.url.hostname}: its certificate is not trusted",
            why=error.verify_message,
            fix="check the address; if your network has its own CA, set SSL_CERT_FILE to its bundle",
        )

    def transient(self, error: BaseException) -> TransientError:
        """Return an error before the response as one that may pass, with how often to try again."""
        attempts = None
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
            attempts = UNKNOWN_NAME
        elif isinstance(error, ssl.SSLError) or _is_not_http(error):
            attempts = LASTING
        elif isinstance(error, ConnectionRefusedError):
            attempts = REFUSED
        return TransientError(self.no_response(error), attempts=attempts)

    def no_response(self, error: BaseException) -> str:
        """Return `HOST:PORT does not answer: REASON` for an error before the response."""
        way = f" through the proxy {proxies.place(self.proxy)}" if self.proxy else ""
        return f"{self.url.hostname}:{self._port} does not answer{way}: {reason(error)}"


def reason(error: BaseException) -> str:
    """Return an error's text as one line, or its type if it has no text."""
    if _is_not_http(error):
        return "the response is not HTTP"
    return printable(str(error)) or type(error).__name__


def _is_not_http(error: BaseException) -> bool:
    return isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError)


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return the trusted CAs: of the first CA bundle variable, else SSL_CERT_DIR, else the system's. Raises Failed."""
    for name in CA_BUNDLE_VARIABLES:
        if bundle := environ.get(name):
            try:
                return _trusting(bundle)
            except (OSError, ssl.SSLError) as error:
                raise Failed(
                    f"{name}={bundle} is not a CA bundle", why=str(error), fix=f"unset {name}"
                ) from error
    return _trusting_system(environ.get("SSL_CERT_DIR", ""))


@functools.lru_cache(8)
def _trusting(bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)


@functools.lru_cache(8)
def _trusting_system(folder: str) -> ssl.SSLContext:
    context = ssl.create_default_context(capath=folder or None)
    if not context.get_ca_certs() and not folder:
        import certifi  # a host without CA certificates, e.g. a minimal container

        context.load_verify_locations(certifi.where())
    return context
