"""Ask the package index, through uv, which pinned packages it no longer has."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name, parse_wheel_filename

from errors import Failed
from images.lock import requirements, wheel_index
from launch.http.client import NotFound

_MOST = 20  # missing packages: an index that lacks more is not the one that was pinned from
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# What uv says of the first package that it cannot find; a marker may stand in braces after the name.
_ABSENT = re.compile(
    r"there is no version of ([\w.-]+)(?:{[^}]*})?==([\w.!+-]+)"
    r"|Because ([\w.-]+) was not found in the (?:package|provided)"
)
_REFUSED = ("could not be queried", "403 Forbidden")  # uv reports a refused login as a missing package


def missing(text: str, wheels: Mapping[str, str]) -> dict[str, str]:
    """Return the pinned packages that the index no longer has, each with the reason.

    `text` is a requirements file with hashes; the packages of `wheels` (file names) are on another index. Raises
    Failed if the index does not answer.
    """
    entries = [e for e in requirements.split(text) if e[:1] not in ("", "#") and not _is_in(e, wheels)]
    pinned = {entry.partition(" \\")[0]: set(_HASH.findall(entry)) for entry in entries}
    gone: dict[str, str] = {}
    while pinned:
        done = requirements.compile_hashes(pinned)
        if not done.returncode:
            return gone | _changed(pinned, done.stdout)
        absent = _absent(pinned, done.stderr)
        if not absent or len(gone) + len(absent) > _MOST:
            raise Failed("the package index does not answer", why=requirements.error(done.stderr))
        gone |= dict.fromkeys(absent, "the package index does not have it")
        pinned = {head: hashes for head, hashes in pinned.items() if head not in absent}
    return gone


def _is_in(entry: str, wheels: Mapping[str, str]) -> bool:
    return any(name.startswith(entry.split(maxsplit=1)[0].replace("==", "-") + "-") for name in wheels)


def _absent(pinned: Iterable[str], stderr: str) -> list[str]:
    """Return the requirements that uv did not find; none if the index refused to answer."""
    message = " ".join(stderr.split())
    found = _ABSENT.search(message)
    if not found or any(words in message for words in _REFUSED):
        return []
    name, version = canonicalize_name(found[1] or found[3]), found[2]
    return [head for head in pinned if _split(head)[0] == name and version in (None, _split(head)[1])]


def _changed(pinned: Mapping[str, set[str]], compiled: str) -> dict[str, str]:
    """Return the packages of which the index has the version, but none of the pinned files.

    An index may state no hashes; then the version is all that can be compared.
    """
    offered: dict[tuple[str, str], set[str]] = {}
    for entry in requirements.split(compiled):
        offered.setdefault(_split(entry), set()).update(_HASH.findall(entry))
    current = {head: offered.get(_split(head)) or hashes for head, hashes in pinned.items()}
    changed = (head for head, hashes in pinned.items() if not hashes & current[head])
    return dict.fromkeys(changed, "the package index has other files of this version")


def _split(requirement: str) -> tuple[str, str]:
    """Return the name and version of `name==version ; marker`."""
    name, _, version = requirement.split(maxsplit=1)[0].partition("==")
    return canonicalize_name(name.partition("[")[0]), version


def missing_wheels(index: str, wheels: Mapping[str, str]) -> dict[str, str]:
    """Return the wheels that a simple index does not list with their pinned hashes, each with the reason.

    Raises Failed if the index does not answer.
    """
    listed: dict[str, str] = {}
    for package in {parse_wheel_filename(file)[0] for file in wheels}:
        with contextlib.suppress(NotFound):
            listed |= wheel_index.hashes(index, package, re.compile(r".*\.whl"))
    return {
        file: f"its hash there is {listed[file]}" if file in listed else f"{index} does not list it"
        for file, sha256 in wheels.items()
        if listed.get(file) != sha256
    }
