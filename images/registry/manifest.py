"""What a registry says an image is: manifests, lists of them, configurations, each checked for its shape.

Whoever answers may be no registry at all: a captive portal's page is no manifest, and nothing may be pinned to it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from errors import Failed
from images.field_checks import Digest, first_error

LISTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LIMIT = 4 << 20  # bytes of a manifest that every registry must take (distribution specification)


class _Part(BaseModel):
    digest: Digest
    size: int = Field(ge=0)


class _Image(BaseModel):
    config: _Part
    layers: list[_Part]


class _Entry(BaseModel):
    digest: Digest
    platform: dict[str, Any] = {}


class _List(BaseModel):
    manifests: list[_Entry]


class _Inside(BaseModel):
    Labels: dict[str, str] | None = None


class _Configuration(BaseModel):
    config: _Inside | None = None


Shape = TypeVar("Shape", bound=BaseModel)


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry holds it: its digest is over `raw`."""

    digest: str
    media_type: str
    raw: bytes

    @property
    def json(self) -> Any:
        """Its content."""
        return json.loads(self.raw)


def digest_of(data: bytes) -> str:
    """`sha256:...` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def checked(where: str, raw: bytes, media_type: str, told: str = "") -> Manifest:
    """The manifest or list, if it is one, and the one of digest `told`. Raises Failed with what it is instead."""
    digest = digest_of(raw)
    if told.startswith("sha256:") and digest != told:
        raise Failed(f"{where} is something else", why=f"its hash is {digest}, not {told}")
    if media_type not in (*MANIFESTS, *LISTS):
        raise Failed(f"{where} is no image manifest", why=f"its type is '{media_type}'")
    _valid(where, "image manifest", _List if media_type in LISTS else _Image, raw)
    return Manifest(digest, media_type, raw)


def labels(where: str, raw: bytes) -> dict[str, str]:
    """The labels in an image's configuration."""
    said = _valid(where, "image configuration", _Configuration, raw)
    return (said.config.Labels if said.config else None) or {}


def _valid(where: str, kind: str, shape: type[Shape], raw: bytes) -> Shape:
    try:
        return shape.model_validate_json(raw)
    except ValidationError as error:
        raise Failed(f"{where} is no {kind}", why=first_error(error)) from None
