"""Verify a published image as a user would who knows only its digest and the public key."""

from __future__ import annotations

import base64
import json

from errors import Failed
from images import capabilities
from images.publish import attestation, referrers, signing
from images.publish.attestation import tag_for
from images.registry.client import Registry
from launch.http.client import NotFound
from launch.spec.capabilities import Capabilities

_SIGN = "publish again with --key, or use the image of another publisher"


def verify(
    registry: Registry, repository: str, digest: str, expected: Capabilities, public: bytes | None
) -> None:
    """Check manifest, blobs and capabilities; with a public key also signature and provenance.

    Raises Failed for the first check that does not pass.
    """
    manifest = registry.manifest(repository, digest)
    for part in [manifest.json["config"], *manifest.json["layers"]]:
        if not registry.has_blob(repository, part["digest"]):
            raise Failed(f"{repository}@{digest} lacks blob {part['digest']}", fix="publish again")
    published = capabilities.from_labels(registry.labels(repository, manifest)) or Capabilities()
    if published != expected:
        raise Failed(
            f"{repository}@{digest} has other capabilities than the local image",
            why=f"vLLM is {published.vllm_version or 'unknown'} there, {expected.vllm_version} here",
            fix="publish to another repository: two images with different contents have the same inputs",
        )
    if public:
        verify_signed(registry, repository, digest, public)


def verify_signed(registry: Registry, repository: str, digest: str, public: bytes) -> None:
    """Check signature and provenance of a published image. Raises Failed."""
    where = f"{registry.host}/{repository}@{digest}"
    try:
        _verify_signature(registry, repository, digest, public)
        _verify_provenance(registry, repository, digest, public)
    except NotFound:
        raise Failed(
            f"{where} is not signed", why="the registry has no signature for it", fix=_SIGN
        ) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Failed(f"the signature of {where} is not valid", why=str(error), fix=_SIGN) from None


def _verify_signature(registry: Registry, repository: str, digest: str, public: bytes) -> None:
    payload, annotations = referrers.content(registry, repository, tag_for(digest, "sig"))
    signature = base64.b64decode(annotations.get(referrers.SIGNATURE, ""))
    signed_digest = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
    if signed_digest != digest or not signing.verify(public, payload, signature):
        fix = "use the key that signed it, or publish to another repository"
        raise Failed(f"{repository}@{digest} is not signed with this key", fix=fix)


def _verify_provenance(registry: Registry, repository: str, digest: str, public: bytes) -> None:
    envelope, _ = referrers.content(registry, repository, tag_for(digest, "att"))
    statement, signature = attestation.open_envelope(envelope)
    subject = json.loads(statement)["subject"][0]["digest"]["sha256"]
    signed = signing.verify(public, attestation.to_be_signed(statement), signature)
    if subject != digest.removeprefix("sha256:") or not signed:
        raise Failed(f"the provenance of {repository}@{digest} is not signed with this key")
