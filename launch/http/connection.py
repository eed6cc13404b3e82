"""One HTTP connection: with TLS or without, straight to the host or through a proxy."""

from __future__ import annotations

import functools
import http.client
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from errors import Failed
from launch.http import proxies
from launch.http.url import basic_login, printable

AGENT = "slipway/0.1"
CA_BUNDLE_VARIABLES = (
    "SLIPWAY_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
)
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
        own_port = self.url.port or (443 if self.url.scheme == "https" else 80)
        host, port = str(self.url.hostname), own_port
        if self.proxy:
            host, port = str(self.proxy.hostname), proxies.port(self.proxy)
        if self.url.scheme == "http":
            return _PlainConnection(host, port, timeout=timeout)
        tls = _TlsConnection(host, port, timeout=timeout, context=tls_context())
        if self.proxy:
            login = basic_login(self.proxy)
            tls.set_tunnel(
                str(self.url.hostname), own_port, {"Proxy-Authorization": login} if login else None
            )
        return tls

    def require_proxy_login(self, problem: int | BaseException) -> None:
        """Raise Failed if a status, or a failed CONNECT, means that the proxy does not accept the login."""
        if self.proxy and (problem == 407 or re.match("Tunnel connection failed: 407", str(problem))):
            raise proxies.login_refused(self.proxy, self.url.scheme)

    def untrusted(self, error: ssl.SSLCertVerificationError) -> Failed:
        """Return the error for a certificate that no trusted CA has signed."""
        return Failed(
            f"{self.url.hostname}: its certificate is not trusted",
            why=error.verify_message,
            fix="check the address; if your network has its own CA, set SSL_CERT_FILE to its bundle",
        )

    def no_response(self, error: BaseException) -> str:
        """Return `HOST:PORT does not answer: REASON` for an error before the response."""
        port = self.url.port or (443 if self.url.scheme == "https" else 80)
        way = f" through the proxy {proxies.place(self.proxy)}" if self.proxy else ""
        return f"{self.url.hostname}:{port} does not answer{way}: {reason(error)}"


def reason(error: BaseException) -> str:
    """Return an error's text as one line, or its type if it has no text."""
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError):
        return "the response is not HTTP"
    return printable(str(error)) or type(error).__name__


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
