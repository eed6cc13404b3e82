"""vLLM versions: the image of each, and the dated table of names that vLLM added, replaced and removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated

from packaging.version import InvalidVersion, Version

from errors import Refused
from launch.checked_data.data_file import load
from launch.checked_data.value_checks import Parsed
from launch.spec.capabilities import Capabilities
from launch.spec.image_reference import DOCKER_HUB, ImageReference
from launch.spec.inputs import Image

USER = "user"  # the source of an option that the user sets
SET_BY_USER = "set by the user"
LONGEST = 60  # characters of a version
AHEAD = 100  # minor releases after the newest known one that may exist
Release = Annotated[Version, Parsed(Version)]


@dataclass(frozen=True)
class VersionRow:
    """One name of vllm_versions.yaml: the first release that has it, and the first that lacks it again."""

    since: Release | None = None
    gone: Release | None = None
    flag: str = ""  # the flag that replaces a variable
    env: str = ""  # the variable that a new flag replaced
    use: str = ""  # the name that replaces this one
    values: dict[str, str] = field(default_factory=dict)  # values that the replacement spells in another way
    again: Release | None = None  # the release that has it again, without an effect
    note: str = ""
    merged: date | None = None
    pull: int = 0
    seen: str = ""

    def is_in(self, version: Version) -> bool:
        """Return whether this vLLM has the name."""
        return (self.since is None or version >= self.since) and (self.gone is None or version < self.gone)

    @property
    def source(self) -> str:
        """Return the change in vLLM, or what was read from an image."""
        return f"vLLM #{self.pull}, {self.merged}" if self.pull else self.seen


@dataclass(frozen=True)
class VersionTable:
    """The content of vllm_versions.yaml."""

    planned: str
    newest: str
    images: dict[str, str]
    serves_by_itself: tuple[str, ...]
    env: dict[str, VersionRow]
    flags: dict[str, VersionRow]
    keys: dict[str, VersionRow]  # keys of JSON options, as Config.key
    unread: dict[str, str]


@cache
def table() -> VersionTable:
    """Return the table."""
    return load(Path(__file__).with_suffix(".yaml"), VersionTable)


@lru_cache(maxsize=256)
def parse(version: str) -> Version:
    """Return a vLLM version without its pre-release and build parts. Raises Refused if it is not a version."""
    try:
        found = Version(Version(version).base_version) if len(version) <= LONGEST else None
    except InvalidVersion:
        found = None
    if found is None:
        raise Refused(f"'{version[:LONGEST]}' is not a vLLM version", fix="--vllm 0.32.0")
    newest = Version(table().newest)
    if found.major > newest.major + 1 or (found.major == newest.major and found.minor > newest.minor + AHEAD):
        why = f"the newest release that Slipway knows is {newest}"
        raise Refused(f"there is no vLLM {version}", why=why, fix=f"--vllm {newest}")
    return found


def image_for(
    platform: str, version: str, reference: str = "", capabilities: Capabilities | None = None
) -> Image:
    """Return the given image, else that of platform and version. Some repositories have a known ENTRYPOINT."""
    version = (capabilities.vllm_version if capabilities else "") or version
    assumed = bool(reference) and not version
    version = version or table().planned
    parse(version)
    images = table().images
    reference = reference or images.get(platform, images["cuda"]).replace("{version}", version)
    serves = is_vllms_own(reference)
    return Image(reference, version, ("vllm", "serve") if serves else (), capabilities, assumed)


def is_vllms_own(reference: str) -> bool:
    """Return whether an image is one of vLLM's own releases or of Slipway's, without plugins of others."""
    parsed = ImageReference.parse(reference)
    return parsed.registry == DOCKER_HUB and parsed.repository in table().serves_by_itself
