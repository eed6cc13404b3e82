"""Unpack responses that a middlebox compressed, although every request excludes that."""

from __future__ import annotations

import http.client
import zlib
from dataclasses import dataclass, field
from typing import Any

from launch.http.connection import reason
from launch.http.retry import TransientError

ENCODINGS = ("gzip", "x-gzip", "deflate")
EITHER = 32 + zlib.MAX_WBITS  # the header says whether it is gzip or zlib
PIECE = 1 << 16
USELESS = 3  # attempts: the same middlebox sends the same again


def encoding(headers: Any) -> str:
    """Return the content encoding of a response, "" for none."""
    name = str(headers.get("Content-Encoding") or "").strip().lower()
    return "" if name == "identity" else name


def unpack(data: bytes, limit: int) -> bytes:
    """Return unpacked data. Raises TransientError if it is not valid, or longer than `limit` bytes.

    A few KiB of compressed data can hold many GiB.
    """
    unpacker = zlib.decompressobj(EITHER)
    try:
        unpacked = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise TransientError(f"its response is compressed and not valid: {error}", attempts=USELESS) from None
    if len(unpacked) > limit:
        raise TransientError(
            f"its response is compressed, and has more than {limit >> 20} MiB", attempts=USELESS
        )
    return unpacked


@dataclass
class CompressedBody:
    """A whole file that is received compressed (`ranges.Body`). `position` and `end` count unpacked bytes."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    end: int
    position: int = 0
    _unpacker: Any = field(default_factory=lambda: zlib.decompressobj(EITHER))
    _packed: bytes = b""

    def readinto(self, view: memoryview) -> int:
        """Read what has arrived, at most up to `end`. Raises TransientError if the connection breaks."""
        space = min(len(view), self.end - self.position)
        data = b""
        try:
            while not data:
                self._packed = self._packed or self.response.read1(PIECE)
                if not self._packed:
                    break
                data = self._unpacker.decompress(self._packed, space)
                self._packed = self._unpacker.unconsumed_tail
        except zlib.error as error:
            reason_ = f"the server sent the file compressed, and it is not valid: {error}"
            raise TransientError(reason_, attempts=USELESS) from error
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            raise TransientError(f"the connection broke at byte {self.position}: {reason(error)}") from error
        if not data:
            raise TransientError(f"the response ends at byte {self.position} of {self.end}")
        view[: len(data)] = data
        self.position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the connection."""
        self.response.close()
        self.connection.close()
