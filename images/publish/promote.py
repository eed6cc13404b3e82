"""From candidate to known-good: only on the word of a recorded run of that very image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from images import capabilities
from images.publish import publish
from images.registry import client as registry_client


def promote(client: Any, order: publish.Order, record: Path) -> publish.Published:
    """`known-good` for the digest of this image, on the word of a recorded run of it."""
    image = publish.the_tested(client, order)
    _good_run(record, order.image)
    there = registry_client.connect(order.host, order.urls)
    names = publish.tags(order, capabilities.parse(image.labels[capabilities.LABEL]))
    subject = publish.known_as(there, order.repository, names[0])
    if subject is None:
        raise Failed(
            f"{order.image} is not published at {order.where}", fix="invoke publish without --promote"
        )
    good = f"{order.name}-known-good"
    there.put_manifest(order.repository, good, subject.raw, subject.media_type)
    return publish.Published(
        order.name, f"{order.where}@{subject.digest}", subject.digest, (good,), pushed=False
    )


def _good_run(record: Path, image: str) -> None:
    try:
        said = json.loads(record.read_text())
        ran, result = said["slipway"]["image"], said["result"]
        completed, failed = int(result["completed"]), int(result.get("failed") or 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"{record} is no recorded run", why=str(error), fix="invoke bench writes results/"
        ) from None
    if ran != image:
        raise Refused(
            f"{record} is a run of {ran}", why=f"this is {image}", fix="invoke bench with this image"
        )
    if failed or not completed:
        raise Refused(f"{record}: {completed} requests served, {failed} failed", fix="bench again")
