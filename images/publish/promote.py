"""Promote a published image to `known-good` after a recorded test of the same image passed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from images.publish import publish
from images.publish.evidence import require_good_run
from images.publish.publish import Published, PublishRequest
from images.registry import client as registry_client

if TYPE_CHECKING:
    from docker import DockerClient


def promote(client: DockerClient, request: PublishRequest, record: Path) -> Published:
    """Tag the published image `<name>-known-good`. Raises Refused unless the record shows a good run."""
    image, capabilities = publish.tested_image(client, request)
    require_good_run(record, request.image, str(image.id))
    registry = registry_client.connect(request.host, request.urls)
    tag = publish.tags(request, capabilities)[0]
    published = publish.manifest_of(registry, request.repository, tag)
    if published is None:
        raise Failed(
            f"{request.image} is not published at {request.target}",
            fix="run invoke publish without --promote",
        )
    known_good = f"{request.locked.name}-known-good"
    registry.put_manifest(request.repository, known_good, published.raw, published.media_type)
    locked, name = request.locked, f"{request.target}@{published.digest}"
    return Published(locked.platform, locked.channel, name, published.digest, (known_good,), pushed=False)
