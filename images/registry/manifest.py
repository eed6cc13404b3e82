"""Manifests, lists of manifests and image configurations, each validated.

The server may not be a registry at all: nothing must be pinned to the login page of a captive portal.
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


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class ImageManifest:
    """A manifest as the registry stores it; the digest is that of `raw`. `listed_in`: the list that named it."""

    digest: str
    media_type: str
    raw: bytes
    listed_in: str = ""

    @property
    def json(self) -> Any:
        """The parsed content."""
        return json.loads(self.raw)

    @property
    def layer_bytes(self) -> int:
        """The size of its layers as they are sent, in bytes."""
        return sum(layer.size for layer in _Image.model_validate_json(self.raw).layers)


def digest_of(data: bytes) -> str:
    """Return the digest of some bytes, `sha256:...`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def checked(where: str, raw: bytes, media_type: str, digest: str = "") -> ImageManifest:
    """Return the manifest or list if it is valid and has the expected digest. Raises Failed."""
    actual = digest_of(raw)
    if digest.startswith("sha256:") and actual != digest:
        raise Failed(f"{where} has another content", why=f"its hash is {actual}, not {digest}")
    if media_type not in (*MANIFESTS, *LISTS):
        raise Failed(f"{where} is not an image manifest", why=f"its type is '{media_type}'")
    _validate(where, "an image manifest", _List if media_type in LISTS else _Image, raw)
    return ImageManifest(actual, media_type, raw)


def labels(where: str, raw: bytes) -> dict[str, str]:
    """Return the labels in an image's configuration. Raises Failed."""
    configuration = _validate(where, "an image configuration", _Configuration, raw)
    return (configuration.config.Labels if configuration.config else None) or {}


def _validate(where: str, kind: str, model: type[Model], raw: bytes) -> Model:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise Failed(f"{where} is not {kind}", why=first_error(error)) from None
