"""`invoke pin`: update images/lock.yaml from the registry and the wheel index; copy inputs to a mirror."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, emit, say
from commands.shared_options import DryRun, Format, Lock, Registry
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from images.lock.pin import Pinned, PinOptions, Sources
    from images.lock.schema import Lock as LockFile
    from images.lock.schema import LockedImage


@verb()
def pin(
    c: Context,
    platform: Annotated[
        str, Option("platform to update: cpu, cuda or rocm (default: all)", metavar="NAME")
    ] = "",
    channel: Annotated[
        str,
        Option(
            "channel to update: stable, nightly or wheel (default: nightly with --nightly or --commit, stable"
            " with --version, else all)",
            metavar="NAME",
        ),
    ] = "",
    commit: Annotated[str, Option("pin this vLLM commit (all 40 digits)", metavar="SHA")] = "",
    version: Annotated[str, Option("pin this vLLM release", metavar="VERSION")] = "",
    nightly: Annotated[bool, Option("pin the newest nightly build")] = False,
    base: Annotated[
        str,
        Option(
            "other repository for the base image, e.g. docker.io/vllm/vllm-openai-rocm", metavar="REPOSITORY"
        ),
    ] = "",
    mirror: Annotated[
        str, Option("copy base image and wheel to this registry and record it", metavar="REGISTRY[/PREFIX]")
    ] = "",
    registry: Registry = (),
    wheels: Annotated[str, Option("wheel index of vLLM", metavar="URL", setting=True)] = "",
    lock: Lock = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Update pinned inputs in images/lock.yaml.

    If a source does not respond, the lock file is left unchanged.

    invoke pin --platform cuda --nightly
    invoke pin --platform rocm --mirror registry.example/slipway
    """
    from images import host_settings
    from images.lock import lockfile as locks
    from images.lock import pin as pins
    from images.registry import address

    path = Path(lock or locks.LOCK)
    if base and not platform:
        raise Refused(
            "--base needs --platform", why="each platform has its own base image", fix="invoke pin --help"
        )
    options = pins.PinOptions(
        commit, version, nightly, address.parse_repository("--base", base) if base else ""
    )
    sources = pins.Sources(
        datetime.now(UTC).date(),
        address.parse_url("--wheels", wheels or pins.WHEELS),
        {host: address.parse_url(f"--registry {host}", url) for host, url in registry},
        host_settings.find_links(),
    )
    if mirror:
        address.parse_target("--mirror", mirror)
    if not dry_run:
        locks.refuse_installed(path)
    old = locks.load(path)
    selected = pins.select(old, platform, channel, options)
    new = [(image, _refresh(path, image, options, sources, mirror)) for image in selected]
    _write(path, old, new, write=not dry_run, format=format)


def _refresh(path: Path, image: LockedImage, options: PinOptions, sources: Sources, mirror: str) -> Pinned:
    """Ask the sources for one image. Raises Failed, and then nothing is written."""
    from images.lock import mirror as mirrors
    from images.lock import pin as pins
    from images.lock import validation

    entry = image.pins
    text = (path.parent / entry.python.requirements).read_text() if entry.python.requirements else ""
    with bar(f"pin {image.name}") as progress:
        try:
            pinned = pins.refresh(entry, options, sources, lambda line: progress.update(0, None, line), text)
            for key, wrong in validation.problems(replace(image, pins=pinned.pins)):
                raise Failed(f"{key}: {wrong}")
            if mirror:
                kept = mirrors.copy_inputs(pinned.pins, mirror, sources, progress.update)
                pinned = pins.Pinned(kept, pinned.requirements)
        except Failed as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            raise Failed(
                f"cannot pin '{image.name}'; {path.name} is unchanged", why=why, fix=error.fix
            ) from None
    return pinned


def _write(
    path: Path, old: LockFile, new: list[tuple[LockedImage, Pinned]], write: bool, format: str
) -> None:
    """Show what changes, and write it unless this is a dry run."""
    from images.lock import writer

    changes = [
        {"platform": image.platform, "channel": image.channel, "key": key, "old": before, "new": after}
        for image, pinned in new
        for key, before, after in writer.changes(image.pins, pinned.pins)
    ]
    if write and changes:
        resolved = [p for _, p in new if p.requirements]
        files = {path.parent / p.pins.python.requirements: p.requirements for p in resolved}
        updated = old.with_pins({(i.platform, i.channel): p.pins for i, p in new})
        writer.write({**files, path: writer.render(updated)})
    if format == "json":
        emit({"lock": str(path), "changes": changes, "written": bool(write and changes)})
        return
    for row in changes:
        print(f"{row['platform']}.{row['channel']}.{row['key']}: {row['old'] or '-'} -> {row['new'] or '-'}")
    done = f"{len(changes)} changes" if changes else "nothing changed"
    say(f"{path}: {done}{'' if write else ', not written'}")
