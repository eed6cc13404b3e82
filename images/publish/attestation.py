"""Statements about a published image in standard formats.

in-toto Statement v1, SLSA provenance v1, DSSE v1 envelopes, cosign's simple signing payload and its tag names.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from images.lock.schema import ImageInputs, LockedImage
from images.registry.manifest import digest_of

DSSE = "application/vnd.dsse.envelope.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SPDX = "application/spdx+json"
PROVENANCE = "https://slsa.dev/provenance/v1"
_IN_TOTO = "application/vnd.in-toto+json"


def statement(image: str, digest: str, locked: LockedImage, inputs: str, base: str) -> bytes:
    """Return the in-toto statement that lists the inputs of an image. `base` is what it was built on."""
    return _canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": image, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": PROVENANCE,
            "predicate": {
                "buildDefinition": {
                    "buildType": "urn:slipway:lock:2",
                    "externalParameters": {
                        "platform": locked.platform,
                        "channel": locked.channel,
                        "lock": inputs,
                    },
                    "internalParameters": {"base": base},
                    "resolvedDependencies": _dependencies(locked.pins),
                },
                "runDetails": {"builder": {"id": "urn:slipway:build"}, "metadata": {"invocationId": inputs}},
            },
        }
    )


def _dependencies(pins: ImageInputs) -> list[dict[str, Any]]:
    found = [_dependency(pins.base.reference, pins.base.digest.removeprefix("sha256:"))]
    found += [_dependency(wheel.wheel, wheel.sha256) for wheel in pins.single_wheels]
    found += [_dependency(name, sha256) for name, sha256 in pins.python.wheels.items()]
    if pins.python.requirements:
        found.append(_dependency(pins.python.requirements, pins.python.sha256))
    return found


def _dependency(uri: str, sha256: str) -> dict[str, Any]:
    return {"uri": uri, "digest": {"sha256": sha256}}


def to_be_signed(payload: bytes, media_type: str = _IN_TOTO) -> bytes:
    """Return DSSE's pre-authentication encoding of a payload."""
    return b"DSSEv1 %d %s %d %s" % (len(media_type), media_type.encode(), len(payload), payload)


def envelope(payload: bytes, signature: bytes) -> bytes:
    """Return a DSSE envelope with one signature, or with none if `signature` is empty."""
    signatures = [{"keyid": "", "sig": base64.b64encode(signature).decode()}] if signature else []
    encoded = base64.b64encode(payload).decode()
    return _canonical({"payloadType": _IN_TOTO, "payload": encoded, "signatures": signatures})


def open_envelope(text: bytes) -> tuple[bytes, bytes]:
    """Return the payload and the first signature of a DSSE envelope; the signature may be empty."""
    data = json.loads(text)
    signature = data["signatures"][0]["sig"] if data["signatures"] else ""
    return base64.b64decode(data["payload"]), base64.b64decode(signature)


def simple_signing(image: str, digest: str) -> bytes:
    """Return the payload that cosign signs for an image."""
    critical = {
        "identity": {"docker-reference": image},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return _canonical({"critical": critical, "optional": None})


def cosign_config(layers: list[bytes]) -> bytes:
    """Return the image configuration of cosign's manifests, which only lists the layers."""
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
    return _canonical(
        {"architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z", "os": "", "rootfs": rootfs}
    )


def tag_for(digest: str, suffix: str = "") -> str:
    """Return the tag of something attached to a digest.

    cosign's suffixes are `sig` and `att`; without a suffix it is the fallback tag for referrers.
    """
    return digest.replace(":", "-") + (f".{suffix}" if suffix else "")


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
