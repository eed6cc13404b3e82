"""Provide the image of a plan before its container is created: build it, or pull it by digest and verify it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused, SlipwayError
from launch.engine import client as engine_client
from launch.engine import images
from launch.operations import locked_image, named_image
from launch.operations.events import Events
from launch.planning import image_choice
from launch.spec.image_reference import ImageReference, is_image_id
from launch.spec.inputs import Image

if TYPE_CHECKING:
    from docker import DockerClient

    from images.lock.schema import LockedImage
    from launch.spec.plan import Plan
    from launch.spec.plan_options import PlanOptions


def provide(
    client: DockerClient, plan: Plan, options: PlanOptions, key: str, events: Events, background: bool
) -> None:
    """Build or pull the image unless the engine has it. `key` is the file of the public key of published images."""
    source = plan.image_source
    image_choice.require_fixed(plan)
    if source.origin == "named":
        if not images.find(client, source.id or plan.image):
            _pull(client, plan.image, events, background)
        if not options.capabilities:
            _read_once(client, plan, events, background)
    elif not images.find(client, source.name):
        if source.origin == "published":
            _pull_published(client, plan, options, key, events, background)
        else:
            _build(plan, options, events, background)


def image_of(client: DockerClient, plan: Plan, options: PlanOptions) -> Image:
    """Return the image of a plan as the engine has it now, with its capabilities. Raises Failed if it is gone."""
    source, is_named = plan.image_source, plan.image_source.origin == "named"
    local = images.inspect(client, (source.id or plan.image) if is_named else source.name)
    if local is None:
        raise images.gone(source.name or plan.image)
    if is_named:
        digest = ImageReference.parse(plan.image).digest
        return named_image.of_name(options, plan.platform, source.name, local, digest)
    published = plan.image if source.origin == "published" else ""
    entry = locked_image.entry_of(_locked(plan, options))
    return locked_image.of_lock(options, entry, local, published)


def _locked(plan: Plan, options: PlanOptions) -> LockedImage:
    locked = locked_image.of_platform(options, plan.platform)
    if locked is None:
        raise Failed(f"the lock has no image for {plan.platform}", fix="use --image")
    return locked


def _build(plan: Plan, options: PlanOptions, events: Events, background: bool) -> None:
    """Build the image of the lock. Raises Failed if a registry may have it and cannot be asked."""
    from images.build import pipeline

    source, locked = plan.image_source, _locked(plan, options)
    if source.problem:
        entry = locked_image.entry_of(locked)
        raise Failed(
            f"this engine does not have the image {source.name}",
            why=source.problem,
            fix=f"invoke build {entry.options}",
        )
    with events.step(f"build {locked.name} image", background) as show:
        builder = engine_client.connect(timeout=600)
        pipeline.build(builder, locked, pipeline.BuildOptions(lock=options.lock), show)


def _pull(client: DockerClient, reference: str, events: Events, background: bool) -> None:
    if is_image_id(reference):
        raise images.gone(reference)
    with events.step(f"pull {reference}", background) as show:
        images.pull(client, reference, show)


def _pull_published(
    client: DockerClient, plan: Plan, options: PlanOptions, key: str, events: Events, background: bool
) -> None:
    """Check the signature, pull by digest, check the labels, and give the image its local name."""
    public = read_public_key(key) if key else None
    reference = ImageReference.parse(plan.image)
    if public:
        from images.publish.verify import verify_signed
        from images.registry import client as registry_client

        registry = registry_client.connect(reference.registry)
        verify_signed(registry, reference.repository, reference.digest, public)
        events.note(f"{plan.image} is signed with the key in {key}")
    else:
        events.note("the signature of the image is not checked: no public key is set (--verify-key PATH)")
    _pull(client, plan.image, events, background)
    pulled = client.images.get(plan.image)
    locked = _locked(plan, options)
    entry = locked_image.entry_of(locked)
    locked_image.require_of_lock(locked, entry, plan.image, pulled.labels)
    repository, _, tag = entry.name.partition(":")
    pulled.tag(repository, tag)


def read_public_key(path: str) -> bytes:
    """Return a public key in PEM. Raises Refused if the file has none."""
    make = "openssl ec -in slipway.key -pubout -out slipway.pub"
    try:
        text = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise Refused(
            f"cannot read the public key '{path}'", why=error.strerror or str(error), fix=make
        ) from None
    if b"BEGIN PUBLIC KEY" not in text:
        raise Refused(f"'{path}' is not a public key in PEM", fix=make)
    return text


def _read_once(client: DockerClient, plan: Plan, events: Events, background: bool) -> None:
    """Read the capabilities of an image that has no label with them, once for each image."""
    from images import capabilities

    source = plan.image_source
    local = images.inspect(client, source.id or plan.image)
    if local is None or capabilities.from_labels(local.labels) or capabilities.was_read(local.id):
        return
    name = source.name or plan.image
    with events.step(f"read what {name} accepts", background):
        try:
            found = capabilities.read(client, local.id)
        except (SlipwayError, ValueError, IndexError):
            found = None
            events.note(f"the options are not checked: Slipway cannot read what the vLLM of {name} accepts")
    capabilities.remember(local.id, found)
