"""Ask the registry of an image, as a node would, whether it has the image by its digest."""

from __future__ import annotations

from errors import Failed, Refused
from launch.deploy.request import Problem
from launch.operations.registry_answer import ask, reason
from launch.spec.image_reference import ImageReference

TITLE = "image in its registry"


def check_image(image: str) -> tuple[list[Problem], list[str]]:
    """Return the problem that a registry has no such image, or a note on why it could not be asked.

    The nodes may have another login and another way to the registry, so only its plain no counts.
    """
    from images.registry import client as registry_client
    from launch.http.client import NotFound

    reference = ImageReference.parse(image)
    if not reference.digest:
        return [], []
    try:
        registry = registry_client.connect(reference.registry)
        ask(lambda: registry.manifest(reference.repository, reference.digest))
    except NotFound:
        what = (
            f"{reference.registry} has no image '{reference.repository}' with the digest {reference.digest}"
        )
        fix = "invoke publish copies an image of this host there; then --registry, or --image with its digest"
        return [Problem(what, "it answers 404, so no node can pull it", fix)], []
    except (Failed, Refused) as error:
        why = reason(error) if isinstance(error, Failed) else error.what
        return [], [f"not checked: {TITLE} ({why})"]
    return [], []
