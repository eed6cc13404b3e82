"""Keep what was read from a file and checked, so that the next command neither parses nor checks it again.

What is kept lies in a store: for commands, the user's cache folder. It counts only as long as the file, the module of
its type and the fields of all its types are those that it was made from. Nothing but dataclasses of Slipway and plain
values is read from it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
FORM = 1  # of what is kept
OWN = ("launch.", "images.")
PLAIN = (("datetime", "date"), ("packaging.version", "Version"), ("packaging.version", "_Version"))


class Store(Protocol):
    """Where things are kept. Neither reading nor writing raises: what is not there is read from its file."""

    def read(self, name: str) -> bytes:
        """Return what is kept under a name, or nothing."""

    def write(self, name: str, data: bytes) -> None:
        """Keep something under a name, if that is possible."""


# A command sets it; without one nothing is kept.
STORE: ContextVar[Store | None] = ContextVar("store", default=None)


def kept(path: Path, kind: str, module: str, read: Callable[[], T]) -> T:
    """Return what `read` makes of a file: from the last time, if nothing has changed since. Raises what `read` raises.

    `kind` names what is made, and `module` is where its type is defined.
    """
    store = STORE.get()
    if store is None:
        return read()
    try:
        stamp = (FORM, sys.version_info[:2], _stamp(path), _stamp(Path(str(sys.modules[module].__file__))))
    except OSError:
        return read()
    name = hashlib.sha256(f"{path.absolute()}\n{kind}".encode()).hexdigest()[:24]
    with suppress(Exception):  # absent, cut off or of another version: the file is read again
        known, types, value = _Reader(io.BytesIO(store.read(name))).load()
        if known == stamp and all(_names(one) == names for one, names in types.items()):
            return value  # type: ignore[no-any-return]
    value = read()
    with suppress(pickle.PicklingError):
        store.write(name, pickle.dumps((stamp, {one: _names(one) for one in set(_types(value))}, value)))
    return value


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _types(value: Any) -> Iterator[type]:
    """Yield the dataclasses of a value and of all that it holds."""
    if is_dataclass(value):
        yield type(value)
        parts: Any = (getattr(value, one.name) for one in fields(value))
    elif isinstance(value, Mapping):
        parts = value.values()
    else:
        parts = value if isinstance(value, (list, tuple, set, frozenset)) else ()
    for part in parts:
        yield from _types(part)


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


class _Reader(pickle.Unpickler):
    """Reads dataclasses of Slipway and plain values, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that may be read. Raises UnpicklingError for another one."""
        if module.startswith(OWN) or (module, name) in PLAIN:  # nothing else is even imported
            found = super().find_class(module, name)
            if is_dataclass(found) or (module, name) in PLAIN:
                return found
        raise pickle.UnpicklingError(f"{module}.{name}")
