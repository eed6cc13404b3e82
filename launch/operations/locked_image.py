"""Look up the image of the lock: on the engine by its local name, else in the user's registry by its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed
from launch.engine import images
from launch.operations.capabilities_file import read_capabilities
from launch.operations.registry_answer import ask, reason
from launch.planning import image_checks, image_choice
from launch.spec.inputs import Image, LocalImage, LockEntry
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from docker import DockerClient

    from images.lock.schema import LockedImage
    from launch.engine.socket_api import EngineSocket


def of_platform(options: PlanOptions, platform: str) -> LockedImage | None:
    """Return the image that the lock pins for a platform; None if it has none, for example for TPUs."""
    from images.lock import lockfile

    lock = lockfile.read(Path(options.lock or lockfile.LOCK))
    if platform not in lock.platforms and not options.channel:
        return None
    return lock.image(platform, options.channel)


def entry_of(locked: LockedImage) -> LockEntry:
    """Return what a plan needs to know of a locked image and of the other channels of its platform."""
    from images.build import local_name

    return replace(
        _pinned(locked),
        name=local_name.reference(locked),
        inputs=local_name.inputs(locked),
        others=tuple(map(_pinned, locked.others)),
    )


def _pinned(locked: LockedImage) -> LockEntry:
    """Return what the lock itself says, without the hash over the files of the image."""
    vllm, base = locked.pins.vllm, locked.pins.base.reference
    return LockEntry(locked.platform, locked.channel, "", "", vllm.version, vllm.commit, base, locked.options)


def look_up(options: PlanOptions, locked: LockedImage, client: DockerClient | EngineSocket | None) -> Image:
    """Return the locked image as this engine has it, else as the user's registry has it, else to be built."""
    entry = entry_of(locked)
    local = images.inspect(client, entry.name) if client else None
    if local:
        require_of_lock(locked, entry, entry.name, local.labels)
    if not options.registry:
        return of_lock(options, entry, local)
    try:
        reference, labels = _published(options.registry, locked, entry, local)
    except Failed as error:
        problem = f"the image cannot be taken from {options.registry}: {reason(error)}"
        return of_lock(options, entry, local, problem="" if local else problem)
    return of_lock(options, entry, local, reference, labels)


def of_lock(
    options: PlanOptions,
    entry: LockEntry,
    local: LocalImage | None,
    published: str = "",
    labels: Mapping[str, str] | None = None,
    problem: str = "",
) -> Image:
    """Return a locked image with the capabilities in its labels. Raises Refused if the user asks for another vLLM."""
    from images.capabilities import from_labels

    given = read_capabilities(options.capabilities)
    image_checks.check_wanted_version(options.vllm or (given.vllm_version if given else ""), entry)
    known = given or from_labels(local.labels if local else labels or {})
    return image_choice.from_lock(entry, local, published, known, options.vllm, problem)


def require_of_lock(locked: LockedImage, entry: LockEntry, where: str, labels: Mapping[str, str]) -> None:
    """Raise Failed unless the labels of an image say that it was built from these inputs and has what they pin."""
    from images import capabilities

    actual = capabilities.from_labels(labels)
    if actual is None:
        raise image_checks.not_of_lock(entry, where, ["it has no label with its capabilities"])
    differences = capabilities.differences(locked, actual)
    if (inputs := labels.get("slipway.lock", "")) != entry.inputs:
        differences.append(f"its label says it was built from {inputs or 'no lock'}, not from {entry.inputs}")
    if differences:
        raise image_checks.not_of_lock(entry, where, differences)


def _published(
    to: str, locked: LockedImage, entry: LockEntry, local: LocalImage | None
) -> tuple[str, dict[str, str]]:
    """Return the published image of these inputs by digest, with its labels.

    Both are empty if the registry has none, or another one than this engine. Raises Failed if the registry cannot be
    asked, or if the labels are not those of the lock's image.
    """
    from images.publish.publish import lock_tag, parse_target
    from images.registry import client as registry_client
    from launch.http.client import NotFound

    host, repository = parse_target(to, "--registry")
    registry = registry_client.connect(host)

    def question() -> tuple[str, str, dict[str, str]]:
        manifest = registry.resolve(repository, lock_tag(locked.name, entry.inputs))
        return manifest.digest, manifest.json["config"]["digest"], registry.labels(repository, manifest)

    try:
        digest, config, labels = ask(question)
    except NotFound:
        return "", {}
    reference = f"{host}/{repository}@{digest}"
    if local and local.id not in (digest, config) and reference not in local.repo_digests:
        return "", {}
    require_of_lock(locked, entry, reference, labels)
    return reference, labels
