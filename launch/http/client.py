"""Connections: kept open between requests, through proxies, with the certificates that other tools trust."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

from errors import Failed
from launch.http.connection import Plain, Secure
from launch.http.proxies import login_of, proxy_for, way_to
from launch.http.retry import RetryPolicy, Transient

NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)
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
    """Scheme, host and port: what an Authorization header belongs to. Raises ValueError for no address."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


class Connections:
    """One stream's connections, kept open between requests. Only `abort` is for other threads."""

    def __init__(self, patience: RetryPolicy) -> None:
        self._patience = patience
        self._context: ssl.SSLContext | None = None
        self._open: dict[Origin, http.client.HTTPConnection] = {}
        # http.client forgets the socket of an answer that ends with the connection; `abort` must not.
        self._sockets: dict[http.client.HTTPConnection, socket.socket] = {}
        self._ended = False
        self._proxies = getproxies_environment()

    def get(
        self, url: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send one GET to an address that passed `address`, follow nothing. Raises Transient for no answer."""
        parts = urlsplit(url)
        proxy = proxy_for(parts, self._proxies)
        connection = self._open.get(origin(url)) or self._connect(parts, proxy)
        self._open[origin(url)] = connection
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        extra = {"Accept-Encoding": "identity", "User-Agent": AGENT, "Connection": "keep-alive"}
        if proxy and parts.scheme == "http":
            target, extra = url.partition("#")[0], {**extra, **login_of(proxy)}
        try:
            return connection, self._ask(connection, target, {**extra, **headers})
        except ssl.SSLCertVerificationError as error:
            raise Failed(
                f"{parts.hostname}: its certificate is not trusted",
                why=error.verify_message,
                fix="check the address; if your network has a CA of its own, set SSL_CERT_FILE to its bundle",
            ) from error
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            connection.close()
            if isinstance(error, OSError) and error.errno in NO_MORE_FILES:
                raise  # this host's limit: no server gets better by waiting
            raise Transient(
                f"{parts.hostname}:{origin(url)[2]} does not answer{way_to(url)}: {words_of(error)}"
            ) from error

    def _ask(
        self, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request; once more where a kept connection turns out to have been closed meanwhile."""
        if connection.sock is not None:
            try:
                connection.request("GET", target, headers=dict(headers))
                return connection.getresponse()
            except (ConnectionError, ssl.SSLError, http.client.HTTPException):
                connection.close()
        if self._ended:
            raise ConnectionAbortedError("nobody waits for it any more")
        connection.timeout = self._patience.connect
        connection.connect()
        connection.sock.settimeout(self._patience.silence)
        self._sockets[connection] = connection.sock
        connection.request("GET", target, headers=dict(headers))
        return connection.getresponse()

    def abort(self, for_good: bool = False) -> None:
        """Cut every connection, so that a thread that waits for one goes on at once."""
        self._ended = self._ended or for_good
        connecting = [one.sock for one in list(self._open.values()) if one.sock is not None]
        for sock in (*list(self._sockets.values()), *connecting):
            with contextlib.suppress(OSError):
                # Not the method of SSLSocket, which would drop the TLS layer under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
        self._sockets.clear()

    def _connect(self, parts: SplitResult, proxy: SplitResult | None) -> http.client.HTTPConnection:
        # A port always: without one, http.client looks for it in the last group of an IPv6 address.
        own = parts.port or (443 if parts.scheme == "https" else 80)
        host, port = (proxy.hostname, proxy.port or 3128) if proxy else (parts.hostname, own)
        if parts.scheme == "http":
            return Plain(str(host), port)
        self._context = self._context or tls()
        secure = Secure(str(host), port, context=self._context)
        if proxy:
            secure.set_tunnel(str(parts.hostname), parts.port or 443, login_of(proxy))
        return secure


def authorization(url: str, token: str) -> str:
    """How to say who asks: by the token, else by the login that stands in the address; empty for nobody."""
    return f"Bearer {token}" if token else login_of(urlsplit(url)).get("Proxy-Authorization", "")


def address(text: str) -> bool:
    """Whether it is an http(s) address that can be asked."""
    try:
        scheme, host, _ = origin(text)
    except ValueError:
        return False
    return scheme in ("http", "https") and bool(host) and text.isprintable() and " " not in text


def public(url: str) -> str:
    """An address without what may be secret in it: a password, or a signature."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def printable(text: str) -> str:
    """What a server said, fit to be shown: one short line in which a terminal finds no commands."""
    return "".join(one if one.isprintable() else " " for one in text.strip())[:200]


def words_of(error: BaseException) -> str:
    """What an error says, or at least what it is."""
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError):
        return "what it sends is not HTTP"
    return printable(str(error)) or type(error).__name__
