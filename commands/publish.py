"""`invoke publish`: a tested image into a registry, by digest, with SBOM, provenance and signature."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commands.output import bar, emit, say
from commands.task import one_of, pairs, setting, verb
from errors import Refused


@verb(
    help={
        "platform": "whose image (a name of the lock)",
        "to": "REGISTRY[/repository]",
        "key": "private key to sign with (EC P-256, PEM, no password)",
        "unsigned": "publish without a signature",
        "no-sbom": "leave the bill of materials out",
        "promote": "a record of `invoke bench`: make the published image known-good",
        "image": "a local image instead of the platform's own",
        "registry": "HOST=URL: where a registry really listens (repeatable)",
        "dry-run": "show what would be published",
        "format": "text or json",
    },
    iterable=["registry"],
)
def publish(
    c: Any,
    platform: str = "",
    to: str = "",
    key: str = "",
    unsigned: bool = False,
    no_sbom: bool = False,
    promote: str = "",
    image: str = "",
    registry: list[str] | None = None,
    dry_run: bool = False,
    format: str = "text",
) -> None:
    """Publish a tested image by digest; what is there already is not sent again.

    invoke publish --platform cpu --to registry.example/slipway/vllm --key slipway.key
    invoke publish --platform cpu --to registry.example/slipway/vllm --promote results/20261123-guide.json
    """
    from images.publish import signing
    from images.registry import reference

    one_of("format", format, ("text", "json"))
    if not to:
        raise Refused("--to is missing", fix="--to registry.example/slipway/vllm")
    if not (key or unsigned or promote):
        raise Refused("neither --key nor --unsigned", fix=f"{signing.MAKE_KEY}, then --key slipway.key")
    if key:
        signing.public_key(Path(key))
    name = setting(c, "platform", platform) or "cpu"
    urls = {
        host: reference.web(f"--registry {host}", url) for host, url in pairs("--registry", registry or [])
    }
    order = _order(name, to, image, Path(key) if key else None, not no_sbom, urls)
    if dry_run or c.config.run.dry:
        _show(order, format)
        return
    with bar(f"publish {name}") as progress:
        done = _carry_out(order, promote, progress.update)
    if format == "json":
        emit(asdict(done))
        return
    print(done.image)
    say(f"{'pushed' if done.pushed else 'already there'}; tags: {', '.join(done.tags)}")


def _order(name: str, to: str, image: str, key: Path | None, with_sbom: bool, urls: dict[str, str]) -> Any:
    from images.build import pipeline as images
    from images.lock.lockfile import load
    from images.publish import publish as publishing
    from images.registry import reference

    lock = load()
    platform = lock.platform(name)
    host, repository = publishing.parse_target(to)
    reference.login_of(host)  # a file of logins that cannot be read is said before anything is sent
    return publishing.PublishRequest(
        name=name,
        platform=platform,
        image=image or images.reference(name, lock),
        inputs=images.inputs(name, platform),
        host=host,
        repository=repository,
        today=datetime.now(UTC).date(),
        key=key,
        with_sbom=with_sbom,
        urls=urls,
    )


def _carry_out(order: Any, promote: str, show: Any) -> Any:
    from images.publish import publish as publishing
    from launch.engine.client import connect

    client = connect(timeout=3600)
    if promote:
        from images.publish import promote as publish_promote

        return publish_promote.promote(client, order, Path(promote))
    return publishing.publish(client, order, show)


def _show(order: Any, format: str) -> None:
    what = {"image": order.image, "to": order.target, "signed": bool(order.key), "sbom": order.with_sbom}
    if format == "json":
        emit(what)
    else:
        print(f"{order.image} -> {order.target}")
        say(f"signed: {what['signed']}, bill of materials: {what['sbom']}; nothing was sent")
