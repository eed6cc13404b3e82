"""Ask vLLM's wheel index (metadata.json for each commit, version, nightly) and simple indexes for hashes.

`{index}/{commit|version|nightly}/[variant/]vllm/metadata.json` lists filename, version, variant, platform_tag
and a path relative to it (vLLM's installation page). An ordinary commit has few variants: what lacks is said.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, TypeAdapter, ValidationError

from errors import Failed
from images.field_checks import Sha256, first_error
from launch.http.client import get

_LINK = re.compile(r'href="([^"#]+)#sha256=([0-9a-f]{64})"')


@dataclass(frozen=True)
class Found:
    """A wheel that exists now."""

    url: str
    version: str
    commit: str
    sha256: str


class _Row(BaseModel):
    """What the index says of one wheel; what else it says is not read."""

    path: str
    version: str
    platform_tag: str = ""
    variant: str | None = None
    sha256: Sha256 | None = None


_ROWS = TypeAdapter(list[_Row])


def find(index: str, key: str, variant: str = "", machine: str = "x86_64") -> Found:
    """The vLLM wheel of a commit, a version or `nightly`; its hash is always that of its bytes.

    Raises Failed where the index does not answer or says what is not so, NotFound where upstream deleted it.
    """
    middle = f"{variant}/" if variant else ""
    place = f"{index.rstrip('/')}/{key}/{middle}vllm/metadata.json"
    listed = _listed(place, get(place).read())
    for row in listed:
        if machine in row.platform_tag and variant in ("", row.variant or ""):
            url = urljoin(place, row.path)
            _same_version(url, row.version)
            return Found(url, row.version, _commit(key, url), _same_bytes(url, row.sha256))
    have = ", ".join(sorted({f"{row.variant} {row.platform_tag}" for row in listed})) or "nothing"
    raise Failed(f"no {variant or 'default'} wheel for {machine} at {place}", why=f"it has {have}")


def _listed(place: str, text: bytes) -> list[_Row]:
    try:
        return _ROWS.validate_json(text)
    except ValidationError as error:
        raise Failed(f"{place} is not what a wheel index says", why=first_error(error)) from None


def _same_version(url: str, version: str) -> None:
    """A stale wheel under a new version has happened upstream (vLLM #44759): its name would give it away."""
    file = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    try:
        name, named, _, _ = parse_wheel_filename(file)
        wanted = Version(version)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise Failed(f"{url} is no wheel", why=str(error)) from None
    if name != "vllm" or named != wanted:
        raise Failed(f"{url} is not the wheel that is asked for", why=f"the index says vllm {version}")


def _same_bytes(url: str, listed: str | None) -> str:
    seen = hash_of(url)
    if listed not in (None, seen):
        raise Failed(f"{url} is not what its index lists", why=f"its sha256 is {seen}, not {listed}")
    return seen


def _commit(key: str, url: str) -> str:
    """The full commit where key or address say it; a version's `+g<hash>` is too short to be a pin."""
    said = re.search("[0-9a-f]{40}", f"{key} {url}")
    return said.group() if said else ""


def hash_of(url: str) -> str:
    """sha256 of what lies there, read to its end."""
    seen = hashlib.sha256()
    for piece in get(url).chunks():
        seen.update(piece)
    return seen.hexdigest()


def hashes(index: str, package: str, wanted: re.Pattern[str]) -> dict[str, str]:
    """File names and sha256 that a simple index (PEP 503) lists for a package."""
    text = get(f"{index.rstrip('/')}/{package}/").read().decode(errors="replace")
    pairs = ((unquote(unescape(link)).rsplit("/", 1)[-1], sha) for link, sha in _LINK.findall(text))
    return {name: sha for name, sha in sorted(pairs) if wanted.fullmatch(name)}
