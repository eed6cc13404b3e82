"""Push small images with the registry client itself, without an engine."""

from __future__ import annotations

import json

from images.registry.client import Registry
from images.registry.manifest import LISTS, MANIFESTS, digest_of

LAYER = b"a layer is a layer is a layer"


def push(registry: Registry, repository: str, tag: str, layer: bytes = LAYER, /, **labels: str) -> str:
    """Push an image of one layer; return its digest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}).encode()
    for blob in (layer, config):
        registry.put_blob(repository, digest_of(blob), len(blob), [blob])
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFESTS[1],
            "config": _descriptor("application/vnd.docker.container.image.v1+json", config),
            "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
        }
    ).encode()
    return registry.put_manifest(repository, tag, raw, MANIFESTS[1])


def push_list(registry: Registry, repository: str, tag: str, by_machine: dict[str, str]) -> str:
    """Push a manifest list of images that the registry has; return its digest."""
    entries = []
    for machine, digest in by_machine.items():
        size = len(registry.manifest(repository, digest).raw)
        descriptor = {"mediaType": MANIFESTS[1], "digest": digest, "size": size}
        entries.append({**descriptor, "platform": {"os": "linux", "architecture": machine}})
    raw = json.dumps({"schemaVersion": 2, "mediaType": LISTS[1], "manifests": entries}).encode()
    return registry.put_manifest(repository, tag, raw, LISTS[1])


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
