"""Copy an image or a file into a registry by digest; blobs that the registry has are not sent again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from images.registry.client import Registry
from images.registry.manifest import MANIFESTS, ImageManifest, digest_of
from launch.http.client import CHUNK

Show = Callable[[float, float | None, str], None]
EMPTY = b"{}"


def image(source: Registry, name: str, manifest: ImageManifest, target: Registry, to: str, show: Show) -> str:
    """Copy one platform's image; return its digest, the same in both. Raises Failed, and stores no manifest then."""
    parts = [manifest.json["config"], *manifest.json["layers"]]
    total, done = sum(part["size"] for part in parts), 0
    for part in parts:
        digest, size = part["digest"], part["size"]
        target.put_blob(to, digest, size, _with_progress(source.blob(name, digest), done, total, show))
        done += size
        show(done, total, digest[:19])
    return target.put_manifest(to, manifest.digest, manifest.raw, manifest.media_type)


def file(path: Path, sha256: str, target: Registry, to: str, media_type: str, show: Show) -> str:
    """Store a file as a blob with its own manifest; return the manifest's digest."""
    size, digest = path.stat().st_size, f"sha256:{sha256}"
    target.put_blob(to, digest, size, _with_progress(_pieces(path), 0, size, show))
    target.put_blob(to, digest_of(EMPTY), len(EMPTY), [EMPTY])
    title = {"org.opencontainers.image.title": path.name}
    raw = artifact(media_type, [layer(media_type, digest, size, title)])
    return target.put_manifest(to, digest_of(raw), raw, MANIFESTS[0])


def layer(media_type: str, digest: str, size: int, annotations: dict[str, str]) -> dict[str, object]:
    """Return a descriptor as manifests list them."""
    return {"mediaType": media_type, "digest": digest, "size": size, "annotations": annotations}


def artifact(kind: str, layers: list[dict[str, object]], subject: dict[str, object] | None = None) -> bytes:
    """Return an OCI manifest for other content than images; equal content gives equal bytes."""
    config = {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": digest_of(EMPTY),
        "size": len(EMPTY),
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "artifactType": kind,
        "config": config,
        "layers": layers,
        **({"subject": subject} if subject else {}),
    }
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as open_file:
        while piece := open_file.read(CHUNK):
            yield piece


def _with_progress(pieces: Iterator[bytes], done: int, total: int, show: Show) -> Iterator[bytes]:
    for piece in pieces:
        done += len(piece)
        show(done, total, f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")
        yield piece
