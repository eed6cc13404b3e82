"""Look up the image of a plan: in the lock, on the engine, in the user's registry, or where a tag points now.

The lock decides unless the user names an image. Nothing is pulled or built here; `provide_image.py` does that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from errors import Failed, Refused, SlipwayError
from launch.deadline import DeadlineExceeded, call_with_deadline
from launch.engine import client as engine_client
from launch.engine import images
from launch.http.client import NotFound
from launch.planning import image_choice
from launch.planning.image_choice import UPSTREAM
from launch.planning.selection import NO_VARIANT, variant_of
from launch.planning.vllm_versions import image_for
from launch.recipes.image import image_of, named_image, version_in_tag
from launch.recipes.schema import Recipe
from launch.spec.capabilities import Capabilities
from launch.spec.control_characters import one_line
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.image_reference import ImageReference, is_image_id
from launch.spec.inputs import Image, LocalImage, LockEntry
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from docker import DockerClient

    from images.lock.schema import LockedImage

_ANSWER_SECONDS = 15  # for a registry to tell a digest
Answer = TypeVar("Answer")


def choose(options: PlanOptions, recipe: Recipe, hardware: HardwareProfile) -> Image:
    """Return the image of the lock, or the one that the user names. Raises Refused or Failed if it does not suit."""
    locked = None if options.image else locked_image(options, hardware.platform)
    client = _engine()
    if locked is None:
        return _named(options, recipe, hardware, client)
    image = _locked(options, locked, client)
    own = named_image(recipe, recipe.variants.get(variant_of(options, recipe), NO_VARIANT), hardware)
    note = f"the recipe names the image {own}; the lock decides (--image {UPSTREAM} uses the recipe's)"
    return replace(image, notes=(note,)) if own else image


def locked_image(options: PlanOptions, platform: str) -> LockedImage | None:
    """Return the image that the lock pins for a platform; None if it has none, for example for TPUs."""
    from images.lock import lockfile

    lock = lockfile.load(Path(options.lock or lockfile.LOCK))
    if platform not in lock.platforms and not options.channel:
        return None
    return lock.image(platform, options.channel)


def entry_of(locked: LockedImage, options: PlanOptions) -> LockEntry:
    """Return what a plan needs to know of a locked image and of the other channels of its platform."""
    from images.lock import lockfile

    lock = lockfile.load(Path(options.lock or lockfile.LOCK))
    others = [image for image in lock.images() if image.platform == locked.platform and image != locked]
    return replace(_entry(locked), others=tuple(map(_entry, others)))


def _entry(locked: LockedImage) -> LockEntry:
    from images.build import local_name

    vllm = locked.pins.vllm
    return LockEntry(
        locked.platform,
        locked.channel,
        local_name.reference(locked),
        local_name.inputs(locked),
        vllm.version,
        vllm.commit,
        locked.options,
    )


def _locked(options: PlanOptions, locked: LockedImage, client: DockerClient | None) -> Image:
    """Return the locked image as this engine has it, else as the user's registry has it, else to be built."""
    entry = entry_of(locked, options)
    local = images.inspect(client, entry.name) if client else None
    if local:
        require_of_lock(locked, entry, entry.name, local.labels)
    if not options.registry:
        return of_lock(options, locked, local)
    try:
        reference, labels = _published(options.registry, locked, entry, local)
    except Failed as error:
        return of_lock(options, locked, local, problem="" if local else _reason(error))
    return of_lock(options, locked, local, reference, labels)


def of_lock(
    options: PlanOptions,
    locked: LockedImage,
    local: LocalImage | None,
    published: str = "",
    labels: Mapping[str, str] | None = None,
    problem: str = "",
) -> Image:
    """Return a locked image with the capabilities in its labels. Raises Refused if the user asks for another vLLM."""
    from images.capabilities import from_labels

    entry, given = entry_of(locked, options), _read_capabilities(options.capabilities)
    image_choice.check_wanted_version(options.vllm or (given.vllm_version if given else ""), entry)
    known = given or from_labels(local.labels if local else labels or {})
    return image_choice.from_lock(entry, local, published, known, options.vllm, problem)


def require_of_lock(locked: LockedImage, entry: LockEntry, where: str, labels: Mapping[str, str]) -> None:
    """Raise Failed unless the labels of an image say that it was built from these inputs and has what they pin."""
    from images import capabilities

    actual = capabilities.from_labels(labels)
    if actual is None:
        raise image_choice.not_of_lock(entry, where, ["it has no label with its capabilities"])
    differences = capabilities.differences(locked, actual)
    if (inputs := labels.get("slipway.lock", "")) != entry.inputs:
        differences.append(f"its label says it was built from {inputs or 'no lock'}, not from {entry.inputs}")
    if differences:
        raise image_choice.not_of_lock(entry, where, differences)


def _published(
    to: str, locked: LockedImage, entry: LockEntry, local: LocalImage | None
) -> tuple[str, dict[str, str]]:
    """Return the published image of these inputs by digest, with its labels.

    Both are empty if the registry has none, or another one than this engine. Raises Failed if the registry cannot be
    asked, or if the labels are not those of the lock's image.
    """
    from images.publish.publish import lock_tag, parse_target
    from images.registry import client as registry_client

    host, repository = parse_target(to, "--registry")
    registry = registry_client.connect(host)

    def ask() -> tuple[str, str, dict[str, str]]:
        manifest = registry.resolve(repository, lock_tag(locked.name, entry.inputs))
        return manifest.digest, manifest.json["config"]["digest"], registry.labels(repository, manifest)

    try:
        digest, config, labels = _ask(ask)
    except NotFound:
        return "", {}
    reference = f"{host}/{repository}@{digest}"
    if local and local.id not in (digest, config) and reference not in local.repo_digests:
        return "", {}
    require_of_lock(locked, entry, reference, labels)
    return reference, labels


def _ask(question: Callable[[], Answer]) -> Answer:
    """Return a registry's answer. Raises Failed if it takes too long."""
    try:
        return call_with_deadline(_ANSWER_SECONDS, question)
    except DeadlineExceeded as error:
        raise Failed("the registry does not answer", why=str(error)) from None


def _named(
    options: PlanOptions, recipe: Recipe, hardware: HardwareProfile, client: DockerClient | None
) -> Image:
    """Return the image that the user names, or upstream's, by what its tag means now."""
    wanted = options.image in ("", UPSTREAM)
    asked = upstream(options, recipe, hardware) if wanted else options.image
    image_choice.check_reference(asked)
    local = images.inspect(client, asked) if client else None
    if local or ImageReference.parse(asked).digest:
        return of_name(options, hardware.platform, asked, local)
    try:
        return of_name(options, hardware.platform, asked, None, _digest_of(asked))
    except Failed as error:
        local = _of_running_server(client, asked) if client else None
        return of_name(options, hardware.platform, asked, local, problem="" if local else _reason(error))


def of_name(
    options: PlanOptions,
    platform: str,
    asked: str,
    local: LocalImage | None,
    digest: str = "",
    problem: str = "",
) -> Image:
    """Return an image that is not of the lock, with its capabilities if they are known."""
    version = options.vllm or version_in_tag(asked)
    known = _read_capabilities(options.capabilities) or capabilities_of(local)
    return image_choice.named(platform, asked, version, local, digest, known, problem)


def upstream(options: PlanOptions, recipe: Recipe, hardware: HardwareProfile) -> str:
    """Return the image of the recipe, else vLLM's own of the wanted version, else of the planned one."""
    variant = recipe.variants.get(variant_of(options, recipe), NO_VARIANT)
    if options.vllm:
        return image_for(hardware.platform, options.vllm).reference
    if recipe.model.nightly_required:
        return image_of(recipe, variant, hardware)
    return named_image(recipe, variant, hardware) or image_for(hardware.platform, "").reference


def capabilities_of(local: LocalImage | None) -> Capabilities | None:
    """Return the capabilities of an image of this engine: from its label, or as read at an earlier start."""
    from images import capabilities

    if local is None:
        return None
    return capabilities.from_labels(local.labels) or capabilities.remembered(local.id)


def _digest_of(asked: str) -> str:
    """Return the digest that a tag has in its registry now. Raises Failed, or Refused for a name that cannot be."""
    from images.registry import address
    from images.registry import client as registry_client

    if is_image_id(asked):
        raise Failed("no container engine of this host has an image with this id")
    reference = ImageReference.parse(asked)
    address.parse_target("--image", reference.name)
    registry = registry_client.connect(reference.registry)
    return _ask(lambda: registry.manifest(reference.repository, reference.version)).digest


def _of_running_server(client: DockerClient, asked: str) -> LocalImage | None:
    """Return the image of a server that was started with this name, whose tag is gone since."""
    from launch.engine.servers import image_id_of

    image_id = image_id_of(client, asked)
    return images.inspect(client, image_id) if image_id else None


def _reason(error: Failed) -> str:
    """Return one line about why something could not be looked up."""
    return one_line(f"{error.what} ({error.why})" if error.why else error.what)


def _engine() -> DockerClient | None:
    """Return the engine, or None: a plan needs none. Without a socket, the slow import of docker is saved."""
    if not engine_client.sockets():
        return None
    try:
        return engine_client.connect()
    except SlipwayError:
        return None


def _read_capabilities(path: str) -> Capabilities | None:
    if not path:
        return None
    try:
        data = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read the capabilities file '{path}'", why=str(error)) from error
    if not isinstance(data, dict):
        raise Refused(f"the capabilities file '{path}' must hold a JSON object")
    return Capabilities.of(data)
