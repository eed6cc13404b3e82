"""Connect to the first address of a host that answers (RFC 8305), without waiting for one that swallows packets."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Iterable
from itertools import chain, zip_longest

STAGGER = 0.25  # seconds until the next address is tried too, as RFC 8305 recommends
Address = tuple[int, int, int, tuple[str, int]]  # family, type, protocol, and what `connect` takes


def connect(
    address: tuple[str, int], timeout: float | None = None, source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Return a connected socket, like `socket.create_connection`. Raises OSError of the last address."""
    host, port = address
    found = [
        (int(family), int(kind), protocol, at)
        for family, kind, protocol, _, at in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    ]
    race = _Race(timeout, source_address)
    try:
        return race.run(interleaved(found))  # type: ignore[arg-type]
    finally:
        race.close()


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses with IPv6 and IPv4 in turn, in the resolver's order otherwise."""
    found = list(addresses)
    first = [one for one in found if one[0] == found[0][0]]
    others = [one for one in found if one[0] != found[0][0]]
    return [one for one in chain.from_iterable(zip_longest(first, others)) if one]


class _Race:
    """Connection attempts, each begun a moment after the one before. Used once: `run`, then `close`."""

    def __init__(self, timeout: float | None, source_address: tuple[str, int] | None) -> None:
        self._timeout, self._source_address = timeout, source_address
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._selector = selectors.DefaultSelector()
        self._error: OSError = TimeoutError(errno.ETIMEDOUT, "timed out")

    def run(self, addresses: list[Address]) -> socket.socket:
        """Return the socket of the first address that answers. Raises OSError."""
        waiting = list(addresses)
        while waiting or self._selector.get_map():
            if waiting:
                self._begin(waiting.pop(0))
            if winner := self._winner(STAGGER if waiting else None):
                winner.settimeout(self._timeout)
                return winner
            if self._left() == 0:
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
        raise self._error

    def _begin(self, address: Address) -> None:
        family, kind, protocol, at = address
        try:
            attempt = socket.socket(family, kind, protocol)
        except OSError as error:  # IPv6 is switched off
            self._error = error
            return
        attempt.setblocking(False)
        try:
            if self._source_address:
                attempt.bind(self._source_address)
            with contextlib.suppress(BlockingIOError):
                attempt.connect(at)
            self._selector.register(attempt, selectors.EVENT_WRITE)
        except OSError as error:
            self._error = error
            attempt.close()

    def _winner(self, stagger: float | None) -> socket.socket | None:
        """Return a connected socket; None after the stagger, the deadline, or once an attempt has failed."""
        if not self._selector.get_map():
            return None
        limits = [seconds for seconds in (stagger, self._left()) if seconds is not None]
        for key, _ in self._selector.select(min(limits) if limits else None):
            attempt = key.fileobj
            assert isinstance(attempt, socket.socket), "only sockets are registered"
            self._selector.unregister(attempt)
            if not (number := attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                return attempt
            attempt.close()
            self._error = OSError(number, os.strerror(number))
        return None

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def close(self) -> None:
        """Give up all other attempts."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
