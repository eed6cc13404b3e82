"""Push a tested image by digest, say what is in it and who says so, read it back, and only then tag it.

Tags: `<platform>-vllm<version>[-g<commit>]` is what was measured inside, `<platform>-lock-<hash>` what went in
(it never moves), then `<platform>-<date>` and `<platform>-candidate`, until a recorded run makes it `known-good`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from errors import Failed, Refused
from images import capabilities
from images.build import verify as build_verify
from images.lock.lockfile import Platform
from images.publish import attestation, push, referrers, sbom, signing, test_results, verify
from images.registry import client as registry_client
from images.registry import reference
from images.registry.client import Registry
from images.registry.manifest import Manifest
from launch.http.client import NotFound

Show = Callable[[float, float | None, str], None]


@dataclass(frozen=True)
class Order:
    """What to publish and where. `key` is None for an unsigned one; `urls` as in `registry.connect`."""

    name: str
    platform: Platform
    image: str
    inputs: str
    host: str
    repository: str
    today: date
    key: Path | None = None
    with_sbom: bool = True
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Registry and repository."""
        return f"{self.host}/{self.repository}"


@dataclass(frozen=True)
class Published:
    """What stands in the registry now. `pushed` is False where the same was there already."""

    platform: str
    image: str
    digest: str
    tags: tuple[str, ...]
    pushed: bool
    sbom: str = ""
    provenance: str = ""
    signature: str = ""


def target(to: str) -> tuple[str, str]:
    """`REGISTRY[/repository]` as host and repository."""
    host, repository = reference.place("--to", to)
    return host, repository or "slipway/vllm"


def tags(order: Order, found: capabilities.Capabilities) -> tuple[str, ...]:
    """The image's names, the one that never moves first."""
    measured = f"{order.name}-vllm{found.vllm_version}"
    commit = f"-g{found.vllm_commit[:9]}" if found.vllm_commit else ""
    names = (f"lock-{order.inputs}", order.today.strftime("%Y%m%d"), "candidate")
    lock, day, candidate = (f"{order.name}-{name}" for name in names)
    return tuple(re.sub(r"[^\w.-]", "_", tag)[:128] for tag in (lock, measured + commit, day, candidate))


def publish(client: Any, order: Order, show: Show) -> Published:
    """Publish, or find that it is published. Raises Refused for an untested image, Failed otherwise.

    Whatever fails, no tag points to something half said: tags come last.
    """
    image = the_tested(client, order)
    there = registry_client.connect(order.host, order.urls)
    with push.alone(order.where, order.name, show):
        return _publish(client, image, there, order, show)


def _publish(client: Any, image: Any, there: Registry, order: Order, show: Show) -> Published:
    found = capabilities.parse(image.labels[capabilities.LABEL])
    names = tags(order, found)
    known = known_as(there, order.repository, names[0])
    if known is None:
        digest = push.push(client, image, order.host, order.repository, order.name, show)
        subject = there.manifest(order.repository, digest)
    else:
        subject = known
    is_new = known is None or _to_be_signed(there, order, known, image)
    said = _say(there, order, subject, image, show) if is_new else {}
    show(0, None, "reading it back")
    public = signing.public(order.key) if order.key else None
    verify.verify(there, order.repository, subject.digest, found, public)
    _name(there, order.repository, subject, names)
    where = f"{order.where}@{subject.digest}"
    return Published(order.name, where, subject.digest, names, known is None, **said)


def _to_be_signed(there: Registry, order: Order, known: Manifest, image: Any) -> bool:
    """Was it published without a signature, and is there a key now? Nobody signs what he did not build."""
    if not order.key or known_as(there, order.repository, attestation.beside(known.digest, "sig")):
        return False
    if image.id not in (known.digest, known.json.get("config", {}).get("digest")):
        raise Failed(
            f"{order.where}@{known.digest} is unsigned and not the image that is here",
            why=f"this engine has {image.id[:19]} of the same inputs",
            fix="publish to another repository, or pull that one and test it",
        )
    return True


def the_tested(client: Any, order: Order) -> Any:
    """The image, if it is here and passed its tests."""
    image = build_verify.existing(client, order.image)
    if image is None:
        raise Failed(f"{order.image} is not on this engine", fix=f"invoke build --platform {order.name}")
    if not test_results.of(image.id) or capabilities.LABEL not in image.labels:
        raise Refused(
            f"{order.image} was not tested",
            why=f"no record of image {image.id[:19]} in results/images",
            fix=".venv/bin/python -m pytest tests/images",
        )
    return image


def known_as(there: Registry, repository: str, tag: str) -> Manifest | None:
    """What a tag points to, or None."""
    try:
        return there.manifest(repository, tag)
    except NotFound:
        return None


def _say(there: Registry, order: Order, subject: Manifest, image: Any, show: Show) -> dict[str, str]:
    """SBOM, provenance and signature beside the image."""
    said = {}
    if order.with_sbom:
        show(0, None, "listing what is inside (syft)")
        said["sbom"] = referrers.sbom(there, order.repository, subject, sbom.of(order.image))
    base = image.labels.get("slipway.base", "")
    words = (order.where, subject.digest, order.name, order.platform, order.inputs, base)
    statement = attestation.statement(*words)
    signed = signing.sign(order.key, attestation.to_be_signed(statement)) if order.key else b""
    sealed = attestation.envelope(statement, signed)
    said["provenance"] = referrers.provenance(there, order.repository, subject.digest, sealed)
    if order.key:
        payload = attestation.simple_signing(order.where, subject.digest)
        signature = signing.sign(order.key, payload)
        said["signature"] = referrers.signature(there, order.repository, subject.digest, payload, signature)
    return said


def _name(there: Registry, repository: str, subject: Manifest, names: tuple[str, ...]) -> None:
    """Set the tags, read each back. The first never moves: who finds it pointing elsewhere came second."""
    first = known_as(there, repository, names[0])
    if first is not None and first.digest != subject.digest:
        raise Failed(
            f"another publisher was first: {names[0]} is {first.digest}",
            fix="publish again; the same inputs need one image alone",
        )
    for name in names:
        there.put_manifest(repository, name, subject.raw, subject.media_type)
        now = there.manifest(repository, name).digest
        if now != subject.digest:
            raise Failed(
                f"{name} was moved by another publisher to {now}",
                why=f"this one is {subject.digest}, whole and signed, without all its tags",
                fix="publish again when the other one has finished",
            )
