"""Decode a log file: compressed, in UTF-16, truncated, or without line ends."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from errors import Refused

MAX_LINE = 1 << 16  # characters that are read as one line; a log may contain a line without an end
_HEAD = 4096

_DECOMPRESSORS: Mapping[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_UNSUPPORTED = {b"\x28\xb5\x2f\xfd": "zstd -d", b"PK\x03\x04": "unzip"}
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def decode_lines(file: io.BufferedReader, name: str) -> Iterator[str]:
    """Yield the lines of a file of any size. Raises Refused, with the file's name, if it is not text."""
    try:
        yield from _lines(_decode(_decompress(file, name), name))
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
        return  # compressed and truncated: what precedes the end counts


def _decompress(file: io.BufferedReader, name: str) -> io.BufferedReader:
    head = file.peek(_HEAD)
    for magic, tool in _UNSUPPORTED.items():
        if head.startswith(magic):
            fix = f"{tool} {name}, then invoke diagnose with the unpacked file"
            raise Refused(
                f"cannot read '{name}'", why=f"`invoke diagnose` cannot unpack {tool} files", fix=fix
            )
    open_ = next((open_ for magic, open_ in _DECOMPRESSORS.items() if head.startswith(magic)), None)
    return io.BufferedReader(open_(file)) if open_ else file


def _decode(file: io.BufferedReader, name: str) -> IO[str]:
    encoding = _encoding(file.peek(_HEAD)[:_HEAD], name)
    return io.TextIOWrapper(file, encoding=encoding, errors="replace")


def _encoding(head: bytes, name: str) -> str:
    """Detect the encoding from a byte order mark, or from the position of zero bytes."""
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), "")
    if marked:
        return marked
    # Most characters of a log are ASCII; vLLM's banner also has others.
    if len(head) > 3 and 2 * head[1::2].count(0) > len(head[1::2]) and head[::2].count(0) * 20 < len(head):
        return "utf-16-le"
    text = head.strip(b"\x00").decode(errors="replace")
    unprintable = sum(not (char.isprintable() or char in "\r\n\t\x1b\x08") for char in text)
    if (unprintable + text.count("\ufffd")) * 4 > len(text):
        raise Refused(
            f"'{name}' is not a log: it does not contain text", fix="docker logs CONTAINER > FILE 2>&1"
        )
    return "utf-8"


def _lines(text: IO[str]) -> Iterator[str]:
    for line in iter(lambda: text.readline(MAX_LINE), ""):
        yield line.replace("\x00", "") if "\x00" in line else line
