"""Ask vLLM's wheel index (metadata.json for each commit, version, nightly) and simple indexes for hashes.

`{index}/{commit|version|nightly}/[variant/]vllm/metadata.json` lists filename, version, variant, platform_tag
and a path relative to it (vLLM's installation page). An ordinary commit has few variants: what lacks is said.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import unquote, urljoin

from errors import Failed
from images.transport import fetch

_LINK = re.compile(r'href="([^"#]+)#sha256=([0-9a-f]{64})"')


@dataclass(frozen=True)
class Found:
    """A wheel that exists now."""

    url: str
    version: str
    commit: str
    sha256: str


def find(index: str, key: str, variant: str = "", machine: str = "x86_64") -> Found:
    """The vLLM wheel of a commit, a version or `nightly`; its hash is that of the bytes where none is listed.

    Raises Failed where the index does not answer, Gone where upstream deleted it.
    """
    middle = f"{variant}/" if variant else ""
    place = f"{index.rstrip('/')}/{key}/{middle}vllm/metadata.json"
    listed = _listed(place, fetch(place).read())
    for row in listed:
        if machine in row.get("platform_tag", "") and variant in ("", row.get("variant", "")):
            url = urljoin(place, row["path"])
            return Found(url, row["version"], _commit(key, url), row.get("sha256") or hash_of(url))
    have = ", ".join(sorted({f"{r.get('variant')} {r.get('platform_tag')}" for r in listed})) or "nothing"
    raise Failed(f"no {variant or 'default'} wheel for {machine} at {place}", why=f"it has {have}")


def _listed(place: str, text: bytes) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
        if not all({"path", "version"} <= set(row) for row in rows):
            raise ValueError("a row without path or version")
    except (ValueError, TypeError) as error:
        raise Failed(f"{place} is not what a wheel index says", why=str(error)) from None
    found: list[dict[str, Any]] = rows
    return found


def _commit(key: str, url: str) -> str:
    """The full commit where key or address say it; a version's `+g<hash>` is too short to be a pin."""
    said = re.search("[0-9a-f]{40}", f"{key} {url}")
    return said.group() if said else ""


def hash_of(url: str) -> str:
    """sha256 of what lies there, read to its end."""
    seen = hashlib.sha256()
    for piece in fetch(url).chunks():
        seen.update(piece)
    return seen.hexdigest()


def hashes(index: str, package: str, wanted: re.Pattern[str]) -> dict[str, str]:
    """File names and sha256 that a simple index (PEP 503) lists for a package."""
    text = fetch(f"{index.rstrip('/')}/{package}/").read().decode()
    pairs = ((unquote(unescape(link)).rsplit("/", 1)[-1], sha) for link, sha in _LINK.findall(text))
    return {name: sha for name, sha in sorted(pairs) if wanted.fullmatch(name)}
