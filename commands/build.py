"""`invoke build` and `invoke images`: build an image from the lock file, and list what was built."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import bar, emit, say, show, table
from commands.shared_options import Channel, DryRun, Format, Lock, LockedPlatform
from commands.task import verb
from images.build.backend import BACKENDS
from launch.spec.option import Option

if TYPE_CHECKING:
    from images.build.pipeline import BuildOptions, Built
    from images.lock.schema import LockedImage


@verb()
def build(
    c: Context,
    platform: LockedPlatform = "cpu",
    channel: Channel = "",
    backend: Annotated[
        str, Option("build tool (default: the first that is installed)", choices=BACKENDS, setting=True)
    ] = "",
    no_cache: Annotated[bool, Option("do not use the build cache")] = False,
    cache_from: Annotated[
        str, Option("import a build cache, e.g. type=registry,ref=IMAGE", metavar="CACHE", setting=True)
    ] = "",
    cache_to: Annotated[str, Option("export the build cache", metavar="CACHE", setting=True)] = "",
    base: Annotated[str, Option("base image instead of the pinned one", metavar="IMAGE")] = "",
    build_proxy: Annotated[str, Option("HTTP proxy for the build only", metavar="URL", setting=True)] = "",
    lock: Lock = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Build an image, verify its contents against images/lock.yaml, and tag it.

    invoke build --platform cpu
    invoke build --platform rocm --channel nightly --dry-run
    """
    from images.build import pipeline

    options = pipeline.BuildOptions(backend, no_cache, cache_from, cache_to, base, build_proxy, lock)
    if dry_run:
        _show_command(_locked(platform, channel, lock), options, format)
        return
    built = run_build(_locked(platform, channel, lock), options)
    if format == "json":
        emit(asdict(built))
    else:
        print(built.tag)
        say(f"{built.id[:19]}  {built.size / 1e9:.2f} GB  vLLM {built.vllm_version}  base {built.base}")


def _locked(platform: str, channel: str, lock: str) -> LockedImage:
    from images.lock.lockfile import LOCK, load

    return load(Path(lock or LOCK)).image(platform, channel)


def run_build(locked: LockedImage, options: BuildOptions, plain: bool = False) -> Built:
    """Build with a progress bar."""
    from images.build import pipeline
    from launch.engine.client import connect

    with bar(f"build {locked.name} image", plain) as progress:
        return pipeline.build(connect(timeout=600), locked, options, progress.update)


def _show_command(locked: LockedImage, options: BuildOptions, format: str) -> None:
    from errors import Failed
    from images.build import backend as build_backend
    from images.build import local_name, pipeline

    try:
        tool = build_backend.choose(options.backend)
    except Failed as error:
        say(f"note: {error.what}; this is the command for a Docker with BuildKit")
        tool = build_backend.Builder("buildkit", ("docker", "build"), (("DOCKER_BUILDKIT", "1"),))
    request = pipeline.request(locked, options.base or locked.pins.base.reference, options)
    words = build_backend.argv(tool, request)
    if format == "json":
        emit({"argv": words, "env": dict(tool.env), "tag": local_name.reference(locked)})
    else:
        print(" ".join([*(f"{name}={value}" for name, value in tool.env), shlex.join(words)]))


@verb()
def images(
    c: Context,
    remove_old: Annotated[
        bool, Option("remove images that the lock file no longer describes and that no container uses")
    ] = False,
    lock: Lock = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """List the images that Slipway built, with size and age."""
    from images import built_images
    from images.lock.lockfile import LOCK, load
    from launch.engine.client import connect

    client, described = connect(timeout=600), load(Path(lock or LOCK))
    found = (
        built_images.remove_old(client, described, dry_run=dry_run)
        if remove_old
        else built_images.built_images(client, described)
    )
    if format == "json":
        emit([image.as_dict() for image in found])
    elif remove_old:
        show(
            "\n".join(f"{'would remove' if dry_run else 'removed'} {image.tag}" for image in found)
            or "no old images"
        )
    elif found:
        rows = [(i.tag, i.vllm, f"{i.size / 1e9:.2f} GB", i.age(), i.state) for i in found]
        show(table(("IMAGE", "VLLM", "SIZE", "AGE", "STATE"), rows))
    else:
        say("No images. Build one with `invoke build --platform cpu`.")
