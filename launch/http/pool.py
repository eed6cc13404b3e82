"""Connections that stay open between requests, for one worker thread."""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.request import getproxies_environment

from launch.http.connection import Route
from launch.http.retry import RetryPolicy
from launch.http.url import Origin, origin

NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)


class ConnectionPool:
    """One worker's connections, one per origin. Other threads may only call `abort`."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._open: dict[Origin, http.client.HTTPConnection] = {}
        # http.client forgets the socket of a response that ends with its connection; `abort` needs it.
        self._sockets: dict[http.client.HTTPConnection, socket.socket] = {}
        self._aborted_for_good = False
        self._proxies = getproxies_environment()

    def get(
        self, url: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send one GET to a valid URL, without following redirects. Raises TransientError if no response comes."""
        route = Route.to(url, self._proxies)
        connection = self._open.get(origin(url)) or route.connection(self._policy.connect_timeout)
        self._open[origin(url)] = connection
        sent = {**route.headers, "Connection": "keep-alive", **headers}
        try:
            response = self._request(connection, route.target, sent)
        except ssl.SSLCertVerificationError as error:
            raise route.untrusted(error) from error
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            connection.close()
            if isinstance(error, OSError) and error.errno in NO_MORE_FILES:
                raise  # a limit of this host: waiting does not help
            route.require_proxy_accepts(error)
            raise route.transient(error) from error
        route.require_proxy_accepts(response.status)
        return connection, response

    def _request(
        self, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request, and send it again if the server has closed a kept connection in the meantime."""
        if connection.sock is not None:
            try:
                connection.request("GET", target, headers=dict(headers))
                return connection.getresponse()
            except (ConnectionError, ssl.SSLError, http.client.HTTPException):
                connection.close()
        if self._aborted_for_good:
            raise ConnectionAbortedError("the transfer was stopped")
        connection.timeout = self._policy.connect_timeout
        connection.connect()
        connection.sock.settimeout(self._policy.read_timeout)
        self._sockets[connection] = connection.sock
        connection.request("GET", target, headers=dict(headers))
        return connection.getresponse()

    @property
    def is_stopped(self) -> bool:
        """Whether no request is to be sent any more."""
        return self._aborted_for_good

    def abort(self, for_good: bool = False) -> None:
        """Cut every connection, so that a thread that waits for one continues at once."""
        self._aborted_for_good = self._aborted_for_good or for_good
        connecting = [one.sock for one in list(self._open.values()) if one.sock is not None]
        for sock in (*list(self._sockets.values()), *connecting):
            with contextlib.suppress(OSError):
                # Not SSLSocket's own method, which would drop the TLS layer under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
        self._sockets.clear()
