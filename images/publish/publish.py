"""Publish a tested image: push by digest, attach SBOM, provenance and signature, verify, and only then tag.

Tags: `<name>-lock-<hash>` names the inputs and never moves; `<name>-vllm<version>[-g<commit>]` names what was read
inside; `<name>-<date>` and `<name>-candidate` move; a benchmark promotes to `<name>-known-good`. The name is that of
the platform, and of the channel if that is not the platform's default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused
from images.capabilities import from_labels
from images.lock.schema import LockedImage
from images.publish import attestation, push, referrers, sbom, signing, test_results, verify
from images.registry import address
from images.registry import client as registry_client
from images.registry.client import Registry
from images.registry.manifest import ImageManifest
from launch.engine.images import Show, find
from launch.http.client import NotFound
from launch.spec.capabilities import Capabilities

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image


@dataclass(frozen=True)
class PublishRequest:
    """What to publish and where. `key` is None for an unsigned image; `urls` as in `registry.client.connect`."""

    locked: LockedImage
    image: str
    inputs: str
    host: str
    repository: str
    today: date
    key: Path | None = None
    with_sbom: bool = True
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Return registry and repository."""
        return f"{self.host}/{self.repository}"


@dataclass(frozen=True)
class Published:
    """The image in the registry. `pushed` is False if the registry had it already."""

    platform: str
    channel: str
    image: str
    digest: str
    tags: tuple[str, ...]
    pushed: bool
    sbom: str = ""
    provenance: str = ""
    signature: str = ""


def parse_target(to: str, flag: str = "--to") -> tuple[str, str]:
    """Split `REGISTRY[/REPOSITORY]` into host and repository. Raises Refused, which names the flag."""
    host, repository = address.parse_target(flag, to)
    return host, repository or "slipway/vllm"


def lock_tag(name: str, inputs: str) -> str:
    """Return the tag that names the inputs of an image, and that never moves."""
    return f"{name}-lock-{inputs}"


def tags(request: PublishRequest, capabilities: Capabilities) -> tuple[str, ...]:
    """Return the image's tags; the first one never moves."""
    commit = f"-g{capabilities.vllm_commit[:9]}" if capabilities.vllm_commit else ""
    name = request.locked.name
    names = (
        f"vllm{capabilities.vllm_version}{commit}",
        request.today.strftime("%Y%m%d"),
        "candidate",
    )
    moving = tuple(re.sub(r"[^\w.-]", "_", f"{name}-{tag}")[:128] for tag in names)
    return lock_tag(name, request.inputs), *moving


def publish(client: DockerClient, request: PublishRequest, show: Show) -> Published:
    """Publish an image, or find it published. Raises Refused for an untested image, Failed otherwise.

    Tags are set last, so after a failure no tag names an incomplete image.
    """
    image, capabilities = tested_image(client, request)
    registry, repository = registry_client.connect(request.host, request.urls), request.repository
    names = tags(request, capabilities)
    with push.exclusive(request.target, request.locked.name, show):
        published = subject = manifest_of(registry, repository, names[0])
        if subject is None:
            digest = push.push(client, image, request.host, repository, request.locked.name, show)
            subject = registry.manifest(repository, digest)
        is_new = published is None or _needs_signature(registry, request, published, image)
        attached = _attach(registry, request, subject, image, show) if is_new else {}
        show(0, None, "verifying the published image")
        public = signing.public_key(request.key) if request.key else None
        verify.verify(registry, repository, subject.digest, capabilities, public)
        _tag(registry, repository, subject, names)
    name = f"{request.target}@{subject.digest}"
    locked = request.locked
    return Published(
        locked.platform, locked.channel, name, subject.digest, names, published is None, **attached
    )


def _needs_signature(
    registry: Registry, request: PublishRequest, published: ImageManifest, image: Image
) -> bool:
    """Return whether to sign an image that was published unsigned: only one identical to the local image."""
    signature = attestation.tag_for(published.digest, "sig")
    if not request.key or manifest_of(registry, request.repository, signature):
        return False
    local_id = str(image.id)
    if local_id not in (published.digest, published.json.get("config", {}).get("digest")):
        raise Failed(
            f"{request.target}@{published.digest} is unsigned and differs from the local image",
            why=f"this engine has {local_id[:19]} of the same inputs",
            fix="publish to another repository, or pull that image and test it",
        )
    return True


def tested_image(client: DockerClient, request: PublishRequest) -> tuple[Image, Capabilities]:
    """Return the local image and its capabilities. Raises Refused unless it passed its tests."""
    image = find(client, request.image)
    if image is None:
        raise Failed(
            f"image '{request.image}' is not on this engine", fix=f"invoke build {request.locked.options}"
        )
    capabilities = from_labels(image.labels)
    if not capabilities or not test_results.of(str(image.id)):
        raise Refused(
            f"image '{request.image}' was not tested",
            why=f"no test result for {str(image.id)[:19]} in {test_results.folder()}",
            fix=".venv/bin/python -m pytest tests/images --record",
        )
    return image, capabilities


def manifest_of(registry: Registry, repository: str, tag: str) -> ImageManifest | None:
    """Return the manifest that a tag names, or None."""
    try:
        return registry.manifest(repository, tag)
    except NotFound:
        return None


def _attach(
    registry: Registry, request: PublishRequest, subject: ImageManifest, image: Image, show: Show
) -> dict[str, str]:
    """Attach SBOM, provenance and signature to the image; return their digests."""
    attached, repository, digest = {}, request.repository, subject.digest
    if request.with_sbom:
        show(0, None, "listing the contents (syft)")
        attached["sbom"] = referrers.attach_sbom(registry, repository, subject, sbom.of(request.image))
    base = image.labels.get("slipway.base", "")
    statement = attestation.statement(request.target, digest, request.locked, request.inputs, base)
    signed = signing.sign(request.key, attestation.to_be_signed(statement)) if request.key else b""
    envelope = attestation.envelope(statement, signed)
    attached["provenance"] = referrers.attach_provenance(registry, repository, digest, envelope)
    if request.key:
        payload = attestation.simple_signing(request.target, digest)
        signature = signing.sign(request.key, payload)
        attached["signature"] = referrers.attach_signature(registry, repository, digest, payload, signature)
    return attached


def _tag(registry: Registry, repository: str, subject: ImageManifest, names: tuple[str, ...]) -> None:
    """Set the tags and read each one back. Raises Failed if another publisher set one meanwhile."""
    first = manifest_of(registry, repository, names[0])
    if first is not None and first.digest != subject.digest:
        raise Failed(
            f"another publisher was first: {names[0]} is {first.digest}",
            fix="publish again; one image is enough for the same inputs",
        )
    for name in names:
        registry.put_manifest(repository, name, subject.raw, subject.media_type)
        current = registry.manifest(repository, name).digest
        if current != subject.digest:
            raise Failed(
                f"another publisher moved {name} to {current}",
                why=f"{subject.digest} is complete and signed, but lacks some of its tags",
                fix="publish again when the other one has finished",
            )
