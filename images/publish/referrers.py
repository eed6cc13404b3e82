"""Attach to a published image: an SBOM as a referrer, signature and provenance at cosign's tags."""

from __future__ import annotations

import base64
import json
from typing import Any

from images.publish import attestation
from images.publish.attestation import DSSE, SIMPLE_SIGNING, SPDX, tag_for
from images.registry import copy
from images.registry.client import Registry
from images.registry.copy import EMPTY
from images.registry.manifest import LISTS, MANIFESTS, ImageManifest, digest_of
from launch.http.client import NotFound

SIGNATURE = "dev.cosignproject.cosign/signature"  # annotation
_CONFIG = "application/vnd.oci.image.config.v1+json"


def attach_sbom(registry: Registry, repository: str, subject: ImageManifest, text: bytes) -> str:
    """Store the SBOM as an artifact whose subject is the image; return the artifact's digest."""
    for blob in (text, EMPTY):
        registry.put_blob(repository, digest_of(blob), len(blob), [blob])
    about = {"mediaType": subject.media_type, "digest": subject.digest, "size": len(subject.raw)}
    raw = copy.artifact(SPDX, [copy.layer(SPDX, digest_of(text), len(text), {})], about)
    digest = registry.put_manifest(repository, digest_of(raw), raw, MANIFESTS[0])
    entry = {"mediaType": MANIFESTS[0], "digest": digest, "size": len(raw), "artifactType": SPDX}
    _add_referrer(registry, repository, subject.digest, entry)
    return digest


def _add_referrer(registry: Registry, repository: str, subject: str, entry: dict[str, Any]) -> None:
    """List an artifact in the index of the fallback tag: docker-registry 2.8 has no referrers API."""
    try:
        listed = registry.manifest(repository, tag_for(subject)).json["manifests"]
    except NotFound:
        listed = []
    entries = [e for e in listed if e.get("artifactType") != entry["artifactType"]] + [entry]
    index = {"schemaVersion": 2, "mediaType": LISTS[0], "manifests": entries}
    raw = json.dumps(index, sort_keys=True).encode()
    registry.put_manifest(repository, tag_for(subject), raw, LISTS[0])


def attach_signature(
    registry: Registry, repository: str, digest: str, payload: bytes, signature: bytes
) -> str:
    """Store a signature at the tag where `cosign verify --key` looks for it."""
    annotations = {SIGNATURE: base64.b64encode(signature).decode()}
    return _attach(registry, repository, tag_for(digest, "sig"), payload, SIMPLE_SIGNING, annotations)


def attach_provenance(registry: Registry, repository: str, digest: str, envelope: bytes) -> str:
    """Store a provenance envelope at the tag where `cosign verify-attestation --key` looks for it."""
    annotations = {SIGNATURE: "", "predicateType": attestation.PROVENANCE}
    return _attach(registry, repository, tag_for(digest, "att"), envelope, DSSE, annotations)


def _attach(
    registry: Registry, repository: str, tag: str, layer: bytes, media_type: str, annotations: dict[str, str]
) -> str:
    config = attestation.cosign_config([layer])
    for blob in (layer, config):
        registry.put_blob(repository, digest_of(blob), len(blob), [blob])
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [copy.layer(media_type, digest_of(layer), len(layer), annotations)],
    }
    raw = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return registry.put_manifest(repository, tag, raw, MANIFESTS[0])


def content(registry: Registry, repository: str, tag: str) -> tuple[bytes, dict[str, str]]:
    """Return the single layer of an attachment and its annotations. Raises NotFound if there is no such tag."""
    layer = registry.manifest(repository, tag).json["layers"][0]
    return b"".join(registry.blob(repository, layer["digest"])), layer.get("annotations") or {}
