"""Connections: kept open between requests, through proxies, with the certificates that other tools trust."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from errors import Failed
from launch.weights.patience import Patience, Transient

AGENT = "slipway/0.1"
Origin = tuple[str, str, int]


def tls(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Certificates to trust: SSL_CERT_FILE and its like, SSL_CERT_DIR, else the system's. Raises Failed."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if bundle := environ.get(name):
            try:
                return ssl.create_default_context(cafile=bundle)
            except (OSError, ssl.SSLError) as error:
                raise Failed(
                    f"{name}={bundle} is no CA bundle", why=str(error), fix=f"unset {name}"
                ) from error
    context = ssl.create_default_context(capath=environ.get("SSL_CERT_DIR") or None)
    if not context.get_ca_certs() and "SSL_CERT_DIR" not in environ:
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def origin(url: str) -> Origin:
    """Scheme, host and port: what an Authorization header belongs to."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


class Connections:
    """One stream's connections, kept open between requests. Only `abort` is for other threads."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._context: ssl.SSLContext | None = None
        self._open: dict[Origin, http.client.HTTPConnection] = {}
        # http.client forgets the socket of an answer that ends with the connection; `abort` must not.
        self._sockets: dict[http.client.HTTPConnection, socket.socket] = {}
        self._proxies = getproxies_environment()

    def get(
        self, url: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send one GET, follow nothing. Raises Transient where no answer comes."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Failed(
                f"not an address to fetch from: {_public(url)}", fix="set HF_ENDPOINT to an http(s) address"
            )
        proxy = self._proxy(parts)
        connection = self._open.get(origin(url)) or self._connect(parts, proxy)
        self._open[origin(url)] = connection
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        extra = {"Accept-Encoding": "identity", "User-Agent": AGENT, "Connection": "keep-alive"}
        if proxy and parts.scheme == "http":
            target, extra = url, {**extra, **_proxy_login(proxy)}
        try:
            return connection, self._ask(connection, target, {**extra, **headers})
        except ssl.SSLCertVerificationError as error:
            raise Failed(
                f"{parts.hostname}: its certificate is not trusted",
                why=error.verify_message,
                fix="set SSL_CERT_FILE to the CA bundle of your network",
            ) from error
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            connection.close()
            raise Transient(
                f"{parts.hostname}:{origin(url)[2]} does not answer: {words_of(error)}"
            ) from error

    def _ask(
        self, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request; once more where a kept connection turns out to have been closed meanwhile."""
        if connection.sock is not None:
            try:
                connection.request("GET", target, headers=dict(headers))
                return connection.getresponse()
            except (ConnectionError, http.client.HTTPException):
                connection.close()
        connection.timeout = self._patience.connect
        connection.connect()
        connection.sock.settimeout(self._patience.silence)
        self._sockets[connection] = connection.sock
        connection.request("GET", target, headers=dict(headers))
        return connection.getresponse()

    def abort(self) -> None:
        """Cut every connection, so that a thread that waits for one goes on at once."""
        for sock in list(self._sockets.values()):
            with contextlib.suppress(OSError):
                # Not the method of SSLSocket, which would drop the TLS layer under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
        self._sockets.clear()

    def _proxy(self, parts: SplitResult) -> SplitResult | None:
        address = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if not address or proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
        proxy = urlsplit(address if "://" in address else f"http://{address}")
        if proxy.scheme != "http":
            raise Failed(
                f"the proxy {proxy.scheme}://{proxy.hostname} is of a kind not known",
                fix="use an http:// proxy",
            )
        return proxy

    def _connect(self, parts: SplitResult, proxy: SplitResult | None) -> http.client.HTTPConnection:
        host, port = (proxy.hostname, proxy.port or 3128) if proxy else (parts.hostname, parts.port)
        if parts.scheme == "http":
            return http.client.HTTPConnection(str(host), port)
        self._context = self._context or tls()
        secure = http.client.HTTPSConnection(str(host), port, context=self._context)
        if proxy:
            secure.set_tunnel(str(parts.hostname), parts.port or 443, _proxy_login(proxy))
        return secure


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _public(url: str) -> str:
    """An address without what may be secret in it."""
    return url.split("?", maxsplit=1)[0].rpartition("@")[2][:200]


def words_of(error: BaseException) -> str:
    """What an error says, or at least what it is."""
    return str(error) or type(error).__name__
