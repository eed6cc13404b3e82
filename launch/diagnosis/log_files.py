"""A log file as lines, however it was kept: packed, in UTF-16, cut off, or in one line without an end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from errors import Refused

LONGEST = 1 << 16  # characters of one line that are read at once; a log may hold a line without an end
_HEAD = 4096

_PACKED: Mapping[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_UNREAD = {b"\x28\xb5\x2f\xfd": "zstd -d", b"PK\x03\x04": "unzip"}
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def file_lines(path: Path) -> Iterator[str]:
    """The lines of a file of any size, one at a time. Raises Refused for what cannot be read or is no text."""
    try:
        with path.open("rb") as file:
            yield from _lines(_text(_unpacked(file, path), path))
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
        return  # packed and cut off: what came before it counts
    except OSError as error:
        raise Refused(f"{path}: cannot be read", why=str(error.strerror)) from error


def _unpacked(file: io.BufferedReader, path: Path) -> io.BufferedReader:
    head = file.peek(_HEAD)
    for magic, tool in _UNREAD.items():
        if head.startswith(magic):
            raise Refused(f"{path} is packed", fix=f"{tool} {path}, then invoke diagnose on what comes out")
    opened = next((packed for magic, packed in _PACKED.items() if head.startswith(magic)), None)
    return io.BufferedReader(opened(file)) if opened else file


def _text(file: io.BufferedReader, path: Path) -> IO[str]:
    encoding = _encoding(file.peek(_HEAD)[:_HEAD], path)
    return io.TextIOWrapper(file, encoding=encoding, errors="replace")


def _encoding(head: bytes, path: Path) -> str:
    """How the text is written, by its mark or by where its zeros are."""
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "")
    if marked:
        return marked
    if len(head) > 3 and not any(head[1::2]) and all(head[::2]):
        return "utf-16-le"
    words = head.strip(b"\x00").decode(errors="replace")
    strange = sum(not (char.isprintable() or char in "\r\n\t\x1b\x08") for char in words) + words.count(
        "\ufffd"
    )
    if strange * 4 > len(words):
        raise Refused(
            f"{path} is no log: it holds no text", fix="docker logs CONTAINER > FILE 2>&1 writes one"
        )
    return "utf-8"


def _lines(text: IO[str]) -> Iterator[str]:
    for line in iter(lambda: text.readline(LONGEST), ""):
        yield line.replace("\x00", "") if "\x00" in line else line
