"""`invoke pin`: update images/lock.yaml from the registry and the wheel index; copy inputs to a mirror."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands import pin_check, pin_model
from commands.output import bar, emit, say
from commands.shared_options import DryRun, Format, Lock, Registry
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from images.lock.pin import Pinned, Sources
    from images.lock.pin_options import PinOptions
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
    model: Annotated[
        str, Option("pin the weights of this model instead, as organization/name", metavar="MODEL")
    ] = "",
    revision: Annotated[
        str, Option("with --model: branch, tag or commit to pin (default: main)", metavar="REVISION")
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
    check: Annotated[
        bool, Option("change nothing: check that every pinned input still exists (exit code 1 if not)")
    ] = False,
    wheels: Annotated[str, Option("wheel index of vLLM", metavar="URL", setting=True)] = "",
    lock: Lock = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Update pinned inputs in images/lock.yaml, or check that they still exist.

    If a source does not respond, the lock file is left unchanged.

    invoke pin --platform cuda --nightly
    invoke pin --platform rocm --channel nightly --mirror registry.example/slipway
    invoke pin --model MiniMaxAI/MiniMax-M2
    invoke pin --check
    """
    from images import host_settings
    from images.lock import lockfile as locks
    from images.lock import pin as pins
    from images.lock import pin_options
    from images.registry import address

    path = Path(lock or locks.LOCK)
    if base and not platform:
        raise Refused(
            "--base needs --platform", why="each platform has its own base image", fix="invoke pin --help"
        )
    options = pin_options.PinOptions(
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
    old = locks.load(path)
    if check or model or revision:
        _refuse_together("--check" if check else "--model", options, mirror, revision if check else "")
    if check:
        pin_check.run(old, path.parent, platform, channel, model, sources, format)
        return
    if not dry_run:
        locks.refuse_installed(path)
    if model or revision:
        _refuse_images(model, platform, channel)
        pin_model.run(path, old, model, revision, sources.today, write=not dry_run, format=format)
        return
    selected = pin_options.select(old, platform, channel, options)
    new = [(image, _refresh(path, image, options, sources, mirror)) for image in selected]
    _write(path, old, new, write=not dry_run, format=format)


def _refuse_together(mode: str, options: PinOptions, mirror: str, revision: str) -> None:
    """Raise Refused if --check or --model is combined with an option that changes the entry of an image."""
    given = {"--commit": options.commit, "--version": options.version, "--nightly": options.nightly}
    given |= {"--base": options.repository, "--mirror": mirror, "--revision": revision}
    for option in (option for option, value in given.items() if value):
        raise Refused(
            f"{mode} and {option} cannot be used together",
            why="--check changes nothing" if mode == "--check" else "--model changes no image",
            fix="leave out one of them",
        )


def _refuse_images(model: str, platform: str, channel: str) -> None:
    """Raise Refused if no model is given, or an image too."""
    if not model:
        raise Refused("--revision needs --model", fix="--model MiniMaxAI/MiniMax-M2")
    for option in [name for name, given in (("--platform", platform), ("--channel", channel)) if given]:
        why, fix = "an entry of a model is for every image", f"invoke pin --model {model}"
        raise Refused(f"--model and {option} cannot be used together", why=why, fix=fix)


def _refresh(path: Path, image: LockedImage, options: PinOptions, sources: Sources, mirror: str) -> Pinned:
    """Ask the sources for one image. Raises Failed, and then nothing is written."""
    from images.lock import mirror as mirrors
    from images.lock import pin as pins
    from images.lock import validation
    from launch.http.client import NotFound

    entry = image.pins
    text = (path.parent / entry.python.requirements).read_text() if entry.python.requirements else ""
    with bar(f"pin {image.name}") as progress:
        try:
            pinned = pins.refresh(entry, options, sources, lambda line: progress.update(0, None, line), text)
            for key, wrong in validation.problems(replace(image, pins=pinned.pins)):
                raise Failed(f"{key}: {wrong}")
            if mirror:
                kept = mirrors.copy_inputs(pinned.pins, mirror, sources, progress.update)
                pinned = replace(pinned, pins=kept)
        except Failed as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            fix = error.fix or (image.renewal if isinstance(error, NotFound) else "")
            raise Failed(f"cannot pin '{image.name}'; {path.name} is unchanged", why=why, fix=fix) from None
    return pinned


def _write(
    path: Path, old: LockFile, new: list[tuple[LockedImage, Pinned]], write: bool, format: str
) -> None:
    """Show what changes, and write it unless this is a dry run."""
    from images.lock import writer

    notes = [f"{image.key}.base: {pinned.note}" for image, pinned in new if pinned.note]
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
        emit({"lock": str(path), "changes": changes, "notes": notes, "written": bool(write and changes)})
        return
    for row in changes:
        print(f"{row['platform']}.{row['channel']}.{row['key']}: {row['old'] or '-'} -> {row['new'] or '-'}")
    for note in notes:
        say(note)
    done = f"{len(changes)} changes" if changes else "nothing changed"
    say(f"{path}: {done}{'' if write else ', not written'}")
