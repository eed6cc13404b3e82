"""What is said of a published image, in formats that others read: in-toto statements, DSSE, cosign's payload.

Formats: in-toto Statement v1, SLSA provenance v1, DSSE v1 (PAE), cosign's simple signing and tag names.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from images.lock.lockfile import Platform
from images.registry.manifest import digest_of

DSSE = "application/vnd.dsse.envelope.v1+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
SPDX = "application/spdx+json"
PROVENANCE = "https://slsa.dev/provenance/v1"
_STATEMENT = "application/vnd.in-toto+json"


def statement(image: str, digest: str, name: str, platform: Platform, inputs: str, built_on: str) -> bytes:
    """Which inputs made this digest, as in-toto says it."""
    return _canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": image, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": PROVENANCE,
            "predicate": {
                "buildDefinition": {
                    "buildType": "urn:slipway:lock:1",
                    "externalParameters": {"platform": name, "lock": inputs},
                    "internalParameters": {"base": built_on},
                    "resolvedDependencies": _dependencies(platform),
                },
                "runDetails": {"builder": {"id": "urn:slipway:build"}, "metadata": {"invocationId": inputs}},
            },
        }
    )


def _dependencies(platform: Platform) -> list[dict[str, Any]]:
    found = [_dependency(platform.base.reference, platform.base.digest.removeprefix("sha256:"))]
    found += [_dependency(wheel.wheel, wheel.sha256) for wheel in platform.single_wheels]
    found += [_dependency(name, sha256) for name, sha256 in platform.python.wheels.items()]
    if platform.python.requirements:
        found.append(_dependency(platform.python.requirements, platform.python.sha256))
    return found


def _dependency(uri: str, sha256: str) -> dict[str, Any]:
    return {"uri": uri, "digest": {"sha256": sha256}}


def to_be_signed(payload: bytes, kind: str = _STATEMENT) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def envelope(payload: bytes, signature: bytes) -> bytes:
    """A DSSE envelope with one signature; an empty one says that nobody signed."""
    signed = [{"keyid": "", "sig": base64.b64encode(signature).decode()}] if signature else []
    said = {"payloadType": _STATEMENT, "payload": base64.b64encode(payload).decode(), "signatures": signed}
    return _canonical(said)


def opened(text: bytes) -> tuple[bytes, bytes]:
    """Payload and first signature of a DSSE envelope."""
    said = json.loads(text)
    signature = said["signatures"][0]["sig"] if said["signatures"] else ""
    return base64.b64decode(said["payload"]), base64.b64decode(signature)


def simple_signing(image: str, digest: str) -> bytes:
    """What cosign signs for an image."""
    critical = {
        "identity": {"docker-reference": image},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return _canonical({"critical": critical, "optional": None})


def cosign_config(layers: list[bytes]) -> bytes:
    """The image configuration that cosign's manifests carry: it lists their layers and nothing else."""
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
    return _canonical(
        {"architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z", "os": "", "rootfs": rootfs}
    )


def beside(digest: str, suffix: str = "") -> str:
    """The tag beside a digest: cosign's for `sig` and `att`, the referrers fallback without a suffix."""
    return digest.replace(":", "-") + (f".{suffix}" if suffix else "")


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
