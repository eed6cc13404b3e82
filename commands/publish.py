"""`invoke publish`: push a tested image to a registry by digest, with SBOM, provenance and signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, emit, say
from commands.shared_options import Channel, DryRun, Format, Lock, LockedPlatform, Registry
from commands.task import verb
from errors import Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from images.lock.schema import LockedImage
    from images.publish.publish import Published, PublishRequest


@verb()
def publish(
    c: Context,
    platform: LockedPlatform = "cpu",
    channel: Channel = "",
    to: Annotated[
        str, Option("registry and repository to push to (required)", metavar="REGISTRY[/REPOSITORY]")
    ] = "",
    key: Annotated[
        str, Option("private key to sign with (EC P-256, PEM, without a password)", metavar="PATH")
    ] = "",
    unsigned: Annotated[bool, Option("publish without a signature")] = False,
    no_sbom: Annotated[bool, Option("do not attach a bill of materials")] = False,
    promote: Annotated[
        str,
        Option(
            "tag the published image `known-good` if this record of `invoke accept` or `invoke bench` passed",
            metavar="PATH",
        ),
    ] = "",
    image: Annotated[
        str, Option("local image instead of the one built for the platform", metavar="IMAGE")
    ] = "",
    registry: Registry = (),
    lock: Lock = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Publish a tested image by digest.

    Blobs that the registry already has are not sent again.

    invoke publish --platform cpu --to registry.example/slipway/vllm --key slipway.key
    invoke publish --platform cpu --to registry.example/slipway/vllm --promote results/20261123-guide.json
    """
    from images.lock.lockfile import LOCK, load
    from images.publish import signing
    from images.registry import address

    if not to:
        raise Refused(
            "publish needs --to", fix="invoke publish --to registry.example/slipway/vllm --key slipway.key"
        )
    if not (key or unsigned or promote):
        why = "an image is signed with --key, or published with --unsigned"
        raise Refused(
            "publish needs --key or --unsigned", why=why, fix=f"{signing.MAKE_KEY}, then --key slipway.key"
        )
    if key:
        signing.public_key(Path(key))
    locked = load(Path(lock or LOCK)).image(platform, channel)
    urls = {host: address.parse_url(f"--registry {host}", url) for host, url in registry}
    request = _request(locked, to, image, Path(key) if key else None, not no_sbom, urls)
    if dry_run:
        _show(request, format)
        return
    with bar(f"publish {locked.name}") as progress:
        done = _publish(request, promote, progress.update)
    if format == "json":
        emit(asdict(done))
        return
    print(done.image)
    say(f"{'pushed' if done.pushed else 'already published'}; tags: {', '.join(done.tags)}")


def _request(
    locked: LockedImage, to: str, image: str, key: Path | None, with_sbom: bool, urls: dict[str, str]
) -> PublishRequest:
    from images.build import local_name
    from images.publish import publish as publishing
    from images.registry import address

    host, repository = publishing.parse_target(to)
    address.stored_login(host)  # refuses an unreadable login file before anything is sent
    return publishing.PublishRequest(
        locked=locked,
        image=image or local_name.reference(locked),
        inputs=local_name.inputs(locked),
        host=host,
        repository=repository,
        today=datetime.now(UTC).date(),
        key=key,
        with_sbom=with_sbom,
        urls=urls,
    )


def _publish(request: PublishRequest, promote: str, show: Callable[..., None]) -> Published:
    from images.publish import publish as publishing
    from launch.engine.client import connect

    client = connect(timeout=3600)
    if promote:
        from images.publish import promote as publish_promote

        return publish_promote.promote(client, request, Path(promote))
    return publishing.publish(client, request, show)


def _show(request: PublishRequest, format: str) -> None:
    """Show what would be published."""
    what = {
        "image": request.image,
        "to": request.target,
        "signed": bool(request.key),
        "sbom": request.with_sbom,
    }
    if format == "json":
        emit(what)
    else:
        print(f"{request.image} -> {request.target}")
        signature = "with a signature" if what["signed"] else "without a signature"
        sbom = "with a bill of materials" if what["sbom"] else "without a bill of materials"
        say(f"{signature}, {sbom}; nothing was sent")
