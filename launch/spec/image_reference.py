"""Parse image references: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
_DOCKER_HUB_ALIAS = "index.docker.io"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")
_START = re.compile(r"sha256:([0-9a-f]{12})")


@dataclass(frozen=True)
class ImageReference:
    """The parts of a reference. An omitted registry is Docker Hub; its one-word names are below `library/`."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Split a reference as container engines do, without checking its characters."""
        name, _, digest = text.partition("@")
        path, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:  # no tag: the colon, if any, belongs to the registry's port
            path, tag = name, ""
        registry, slash, repository = path.partition("/")
        if not slash or not is_registry(registry):
            registry, repository = DOCKER_HUB, path
        registry = DOCKER_HUB if registry == _DOCKER_HUB_ALIAS else registry
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        return cls(registry, repository, tag, digest)

    @property
    def name(self) -> str:
        """The registry and the repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """The digest, else the tag, else `latest`: what an engine pulls."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


def short_id(reference: str) -> str:
    """Return twelve hex digits for an image: the first of its digest or id, else of a hash of its name."""
    match = _START.search(reference)
    return match[1] if match else hashlib.sha256(reference.encode()).hexdigest()[:12]


def is_digest(text: str) -> bool:
    """Return whether the text is a digest."""
    return bool(_DIGEST.fullmatch(text))


def is_tag(text: str) -> bool:
    """Return whether engines and registries accept a tag."""
    return bool(_TAG.fullmatch(text))


def is_image_id(text: str) -> bool:
    """Return whether the text is the whole id of an image, which only an engine can look up."""
    return bool(_ID.fullmatch(text))


def is_registry(text: str) -> bool:
    """Return whether the part before the first slash is a registry and not the start of a repository."""
    return "." in text or ":" in text or text == "localhost"
