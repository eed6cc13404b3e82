"""Which tool builds: buildx, a docker client that does BuildKit itself, or podman; and the argv for each.

The docker SDK knows neither secrets nor `RUN --mount`. More than one `docker` may be on PATH, and a newer one
without the buildx plugin cannot build at all, so every one of them is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from errors import Failed, Refused

BACKENDS = ("buildx", "buildkit", "podman")


@dataclass(frozen=True)
class Builder:
    """A way to build: its name, the words its argv begins with and the environment it needs."""

    name: str
    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Request:
    """One build. Secrets map an id to a file; nothing of them stays in the image."""

    context: Path
    dockerfile: Path | None = None
    id_file: Path | None = None
    build_args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, Path], ...] = ()
    no_cache: bool = False
    cache_from: str = ""
    cache_to: str = ""


def argv(builder: Builder, request: Request) -> list[str]:
    """The command line, the same for all three but for what only one of them knows."""
    words = [*builder.words]
    words += ["--file", str(request.dockerfile)] if request.dockerfile else []
    words += ["--iidfile", str(request.id_file)] if request.id_file else []
    # The OCI format has neither SHELL nor HEALTHCHECK.
    words += ["--format", "docker"] if builder.name == "podman" else ["--progress=plain"]
    args = [(k, _full(v) if builder.name == "podman" else v) for k, v in request.build_args]
    words += [w for k, v in args for w in ("--build-arg", f"{k}={v}")]
    words += [w for name, path in request.secrets for w in ("--secret", f"id={name},src={path}")]
    words += ["--no-cache"] if request.no_cache else []
    words += ["--cache-from", request.cache_from] if request.cache_from else []
    words += _cache_to(builder, request.cache_to) if request.cache_to else []
    return [*words, str(request.context)]


def _full(value: str) -> str:
    """podman resolves no short names; its Docker socket files our own images under docker.io."""
    return f"docker.io/{value}" if value.startswith("slipway/") else value


def _cache_to(builder: Builder, where: str) -> list[str]:
    """A docker client that builds by itself keeps its cache inside the image or not at all."""
    if builder.name != "buildkit":
        return ["--cache-to", where]
    if where.removeprefix("type=") == "inline":
        return ["--build-arg", "BUILDKIT_INLINE_CACHE=1"]
    raise Refused(f"--cache-to {where} needs buildx", fix="--cache-to inline, or install docker-buildx")


def choose(name: str = "") -> Builder:
    """The forced backend, else the first that is here.

    Raises Refused for an unknown name, Failed where there is none.
    """
    if name and name not in BACKENDS:
        raise Refused(f"unknown backend '{name}'", fix=f"one of: {', '.join(BACKENDS)}")
    for builder in available():
        if name in ("", builder.name):
            return builder
    raise Failed(
        f"no {name or 'BuildKit'} builder",
        why="neither buildx, a docker client with BuildKit nor podman is here",
        fix="apt-get install docker.io (its client does BuildKit), or install docker-buildx or podman",
    )


def available() -> Iterator[Builder]:
    """Every builder of this host, best first."""
    clients = _dockers()
    for docker in clients:
        if _says(docker, "buildx", "version"):
            yield Builder("buildx", (docker, "buildx", "build", "--load"))
    for docker in clients:
        # Clients before 23 carry BuildKit; later ones leave it to the plugin.
        if 18 < _major(_says(docker, "--version")) < 23:
            yield Builder("buildkit", (docker, "build"), (("DOCKER_BUILDKIT", "1"),))
    if podman := shutil.which("podman"):
        yield Builder("podman", (podman, "build"))


def _dockers() -> list[str]:
    places = os.environ.get("PATH", "").split(os.pathsep)
    found = [str(Path(place, "docker")) for place in places if os.access(Path(place, "docker"), os.X_OK)]
    return list(dict.fromkeys(found))


def _says(*words: str) -> str:
    """What it prints; nothing where it fails or is no program at all."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except (OSError, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _major(text: str) -> int:
    match = re.search(r"version (\d+)\.", text)
    return int(match.group(1)) if match else 0
