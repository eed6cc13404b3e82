"""Read a published image as one who knows only its digest and the public key, and believe nothing else."""

from __future__ import annotations

import base64
import json

from errors import Failed
from images import capabilities
from images.capabilities import Capabilities
from images.publish import attestation, referrers, signing
from images.publish.attestation import beside
from images.registry.client import Registry


def verify(
    there: Registry, repository: str, digest: str, expected: Capabilities, public: bytes | None
) -> None:
    """Manifest by digest, every blob there, contract equal, signature and provenance by the key's owner.

    Raises Failed with the first thing that is not so.
    """
    manifest = there.manifest(repository, digest)
    for part in [manifest.json["config"], *manifest.json["layers"]]:
        if not there.has_blob(repository, part["digest"]):
            raise Failed(f"{repository}@{digest} lacks blob {part['digest']}", fix="publish again")
    found = capabilities.parse(there.labels(repository, manifest).get(capabilities.LABEL, "{}"))
    if found != expected:
        raise Failed(
            f"{repository}@{digest} carries another contract",
            why=f"vLLM {found.vllm_version or 'unknown'} there, {expected.vllm_version} here",
            fix="the same inputs were published with other contents: find out which one is right",
        )
    if public:
        _signed(there, repository, digest, public)


def _signed(there: Registry, repository: str, digest: str, public: bytes) -> None:
    payload, notes = referrers.content(there, repository, beside(digest, "sig"))
    signature = base64.b64decode(notes.get("dev.cosignproject.cosign/signature", ""))
    about = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
    if about != digest or not signing.verify(public, payload, signature):
        fix = "take the key that signed it, or publish to another repository"
        raise Failed(f"{repository}@{digest} is not signed by this key", fix=fix)
    sealed, _ = referrers.content(there, repository, beside(digest, "att"))
    statement, signature = attestation.opened(sealed)
    subject = json.loads(statement)["subject"][0]["digest"]["sha256"]
    if subject != digest.removeprefix("sha256:") or not signing.verify(
        public, attestation.to_be_signed(statement), signature
    ):
        raise Failed(f"the provenance of {repository}@{digest} is not signed by this key")
