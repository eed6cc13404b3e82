"""What is said of an image, beside it in a registry: an SBOM as a referrer, signatures where cosign looks."""

from __future__ import annotations

import base64
import json
from typing import Any

from images.publish import attestation
from images.publish.attestation import DSSE, SIMPLE, SPDX, beside
from images.registry import copy
from images.registry.client import Registry
from images.registry.copy import EMPTY
from images.registry.manifest import LISTS, MANIFESTS, Manifest, digest_of
from launch.http.client import NotFound

_CONFIG = "application/vnd.oci.image.config.v1+json"


def sbom(there: Registry, repository: str, subject: Manifest, text: bytes) -> str:
    """The SBOM as an artifact whose subject is the image, listed under the referrers fallback tag."""
    for blob in (text, EMPTY):
        there.put_blob(repository, digest_of(blob), len(blob), [blob])
    about = {"mediaType": subject.media_type, "digest": subject.digest, "size": len(subject.raw)}
    raw = copy.artifact(SPDX, [copy.layer(SPDX, digest_of(text), len(text), {})], about)
    digest = there.put_manifest(repository, digest_of(raw), raw, MANIFESTS[0])
    _list(
        there,
        repository,
        subject.digest,
        {"mediaType": MANIFESTS[0], "digest": digest, "size": len(raw), "artifactType": SPDX},
    )
    return digest


def _list(there: Registry, repository: str, subject: str, entry: dict[str, Any]) -> None:
    """docker-registry 2.8 has no referrers API: the specification's fallback is an index under a tag."""
    try:
        known = there.manifest(repository, beside(subject)).json["manifests"]
    except NotFound:
        known = []
    entries = [e for e in known if e.get("artifactType") != entry["artifactType"]] + [entry]
    index = {"schemaVersion": 2, "mediaType": LISTS[0], "manifests": entries}
    there.put_manifest(repository, beside(subject), json.dumps(index, sort_keys=True).encode(), LISTS[0])


def signature(there: Registry, repository: str, digest: str, payload: bytes, signed: bytes) -> str:
    """Where `cosign verify --key` looks for it."""
    notes = {"dev.cosignproject.cosign/signature": base64.b64encode(signed).decode()}
    return _cosign(there, repository, beside(digest, "sig"), payload, SIMPLE, notes)


def provenance(there: Registry, repository: str, digest: str, envelope: bytes) -> str:
    """Where `cosign verify-attestation --key` looks for it."""
    notes = {"dev.cosignproject.cosign/signature": "", "predicateType": attestation.PROVENANCE}
    return _cosign(there, repository, beside(digest, "att"), envelope, DSSE, notes)


def _cosign(
    there: Registry, repository: str, tag: str, layer: bytes, media_type: str, notes: dict[str, str]
) -> str:
    config = attestation.cosign_config([layer])
    for blob in (layer, config):
        there.put_blob(repository, digest_of(blob), len(blob), [blob])
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [copy.layer(media_type, digest_of(layer), len(layer), notes)],
    }
    raw = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return there.put_manifest(repository, tag, raw, MANIFESTS[0])


def content(there: Registry, repository: str, tag: str) -> tuple[bytes, dict[str, str]]:
    """The single layer of something attached, and its annotations. Raises NotFound where nothing is."""
    layer = there.manifest(repository, tag).json["layers"][0]
    return b"".join(there.blob(repository, layer["digest"])), layer.get("annotations") or {}
