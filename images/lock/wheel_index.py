"""Read vLLM's wheel index (metadata.json of a commit, a version, or nightly) and simple indexes with hashes.

`{index}/{commit|version|nightly}/[variant/]vllm/metadata.json` lists filename, version, variant, platform_tag
and a path relative to it (vLLM's installation page). A commit may lack variants; the error names those it has.
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
class WheelFound:
    """A wheel that the index has now."""

    url: str
    version: str
    commit: str
    sha256: str


class _Row(BaseModel):
    """One wheel in the index; other fields are ignored."""

    path: str
    version: str
    platform_tag: str = ""
    variant: str | None = None
    sha256: Sha256 | None = None


_ROWS = TypeAdapter(list[_Row])


def find(index: str, key: str, variant: str = "", machine: str = "x86_64") -> WheelFound:
    """Return the vLLM wheel of a commit, a version or `nightly`, with the hash of its content.

    Raises NotFound if upstream deleted it, Failed if the index does not answer or is wrong.
    """
    middle = f"{variant}/" if variant else ""
    metadata_url = f"{index.rstrip('/')}/{key}/{middle}vllm/metadata.json"
    rows = _parse(metadata_url, get(metadata_url).read())
    for row in rows:
        if machine in row.platform_tag and variant in ("", row.variant or ""):
            url = urljoin(metadata_url, row.path)
            _require_version(url, row.version)
            return WheelFound(url, row.version, _commit(key, url), _verified_sha256(url, row.sha256))
    available = ", ".join(sorted({f"{row.variant} {row.platform_tag}" for row in rows})) or "nothing"
    raise Failed(
        f"no {variant or 'default'} wheel for {machine} at {metadata_url}", why=f"it has {available}"
    )


def _parse(url: str, text: bytes) -> list[_Row]:
    try:
        return _ROWS.validate_json(text)
    except ValidationError as error:
        raise Failed(f"{url} is not a wheel index", why=first_error(error)) from None


def _require_version(url: str, version: str) -> None:
    """Raise Failed for a stale wheel under a new version; it has happened upstream (vLLM #44759)."""
    file = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    try:
        name, file_version, _, _ = parse_wheel_filename(file)
        listed_version = Version(version)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise Failed(f"{url} is not a wheel", why=str(error)) from None
    if name != "vllm" or file_version != listed_version:
        raise Failed(f"{url} is another wheel than listed", why=f"the index lists vllm {version}")


def _verified_sha256(url: str, listed: str | None) -> str:
    actual = sha256_of(url)
    if listed not in (None, actual):
        raise Failed(f"{url} has another content than listed", why=f"its sha256 is {actual}, not {listed}")
    return actual


def _commit(key: str, url: str) -> str:
    """Return the full commit in the key or the URL; a version's `+g<hash>` is too short to pin."""
    match = re.search("[0-9a-f]{40}", f"{key} {url}")
    return match.group() if match else ""


def sha256_of(url: str) -> str:
    """Download a file and return the SHA-256 of its content."""
    sha256 = hashlib.sha256()
    for chunk in get(url).chunks():
        sha256.update(chunk)
    return sha256.hexdigest()


def hashes(index: str, package: str, wanted: re.Pattern[str]) -> dict[str, str]:
    """Return the SHA-256 of each file that a simple index (PEP 503) lists for a package, by file name."""
    text = get(f"{index.rstrip('/')}/{package}/").read().decode(errors="replace")
    pairs = ((unquote(unescape(link)).rsplit("/", 1)[-1], sha) for link, sha in _LINK.findall(text))
    return {name: sha for name, sha in sorted(pairs) if wanted.fullmatch(name)}
