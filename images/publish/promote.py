"""Promote a published image to `known-good` after a recorded benchmark of the same image passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused
from images.publish import publish
from images.publish.publish import Published, PublishRequest
from images.registry import client as registry_client

if TYPE_CHECKING:
    from docker import DockerClient


def promote(client: DockerClient, request: PublishRequest, record: Path) -> Published:
    """Tag the published image `<name>-known-good`. Raises Refused unless the record shows a good run."""
    image, capabilities = publish.tested_image(client, request)
    _require_good_run(record, request.image, str(image.id))
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


def _require_good_run(record: Path, image: str, image_id: str) -> None:
    try:
        data = json.loads(record.read_text())
        slipway, result = data["slipway"], data["result"]
        tested = str(slipway.get("image_id") or slipway["image"])
        completed, failed = int(result["completed"]), int(result.get("failed") or 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"{record} is not a benchmark result",
            why=str(error),
            fix="run invoke bench, which writes one",
        ) from None
    if tested not in (image, image_id):
        fix = "run invoke bench with this image"
        raise Refused(f"{record} is a benchmark of {tested}", why=f"the image to promote is {image}", fix=fix)
    if failed or not completed:
        raise Refused(f"{record}: {completed} requests served, {failed} failed", fix="run invoke bench again")
