"""`invoke build`: an image from the lock, proven and tagged."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from commands.output import bar, emit, say
from commands.task import one_of, setting, verb


@verb(
    help={
        "platform": "cpu, cuda, cuda-wheel, rocm or rocm-openai (the lock's names)",
        "backend": "buildx, buildkit or podman (default: what is here)",
        "no-cache": "begin anew",
        "cache-from": "import a build cache",
        "cache-to": "export the build cache",
        "base": "build above this image instead of the pinned one",
        "build-proxy": "HTTP proxy for the build alone",
        "lock": "another lock than images/lock.yaml",
        "dry-run": "print the command, run nothing",
        "format": "text or json",
    }
)
def build(
    c: Any,
    platform: str = "",
    backend: str = "",
    no_cache: bool = False,
    cache_from: str = "",
    cache_to: str = "",
    base: str = "",
    build_proxy: str = "",
    lock: str = "",
    dry_run: bool = False,
    format: str = "text",
) -> None:
    """Build a platform's image from images/lock.yaml, read what is really inside, and tag it.

    invoke build --platform cpu
    invoke build --platform rocm --dry-run
    """
    from images.build import pipeline as images

    one_of("format", format, ("text", "json"))
    platform = setting(c, "platform", platform) or "cpu"
    options = images.BuildOptions(
        backend=setting(c, "backend", backend),
        no_cache=no_cache,
        cache_from=setting(c, "cache_from", cache_from),
        cache_to=setting(c, "cache_to", cache_to),
        base=base,
        proxy=setting(c, "build_proxy", build_proxy),
        lock=setting(c, "lock", lock),
    )
    if dry_run or c.config.run.dry:
        _show_command(platform, options, format)
        return
    built = run_build(platform, options)
    if format == "json":
        emit(asdict(built))
    else:
        print(built.tag)
        say(f"{built.id[:19]}  {built.size / 1e9:.2f} GB  vLLM {built.vllm_version}  above {built.base}")


def run_build(platform: str, options: Any, plain: bool = False) -> Any:
    """Build with a bar; `invoke run` does it too where its image is missing."""
    from images.build import pipeline as images
    from launch.engine.client import connect

    with bar(f"build {platform} image", plain) as progress:
        return images.build(connect(timeout=600), platform, options, progress.update)


def _show_command(platform: str, options: Any, format: str) -> None:
    from errors import Failed
    from images.build import backend as build_backend
    from images.build import pipeline as images
    from images.lock.lockfile import load

    pins = load(Path(options.lock)) if options.lock else load()
    entry = pins.platform(platform)
    try:
        tool = build_backend.choose(options.backend)
    except Failed as error:
        say(f"note: {error.what}; showing the command for one that has BuildKit")
        tool = build_backend.Builder("buildkit", ("docker", "build"), (("DOCKER_BUILDKIT", "1"),))
    words = build_backend.argv(
        tool, images.request(platform, entry, options.base or entry.base.reference, options)
    )
    if format == "json":
        emit({"argv": words, "env": dict(tool.env), "tag": images.reference(platform, pins)})
    else:
        print(" ".join([*(f"{k}={v}" for k, v in tool.env), shlex.join(words)]))
