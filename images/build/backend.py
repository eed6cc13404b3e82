"""Choose the program that builds (buildx, a docker client with BuildKit, or podman) and make its command line.

The docker SDK supports neither build secrets nor `RUN --mount`. PATH may hold several `docker` clients, and one from
version 23 on cannot build with BuildKit without the buildx plugin, so each client is tried.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from errors import Failed, Refused, choice

BACKENDS = ("buildx", "buildkit", "podman")


@dataclass(frozen=True)
class Builder:
    """A way to build: its name, how its command line starts, and the environment it needs."""

    name: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class BuildRequest:
    """One build. `secrets` map an ID to a file; their content does not stay in the image."""

    context: Path
    dockerfile: Path | None = None
    id_file: Path | None = None
    build_args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, Path], ...] = ()
    no_cache: bool = False
    cache_from: str = ""
    cache_to: str = ""


def argv(builder: Builder, request: BuildRequest) -> list[str]:
    """Return the command line, equal for all builders except for options that only one of them has."""
    argv = [*builder.command]
    argv += ["--file", str(request.dockerfile)] if request.dockerfile else []
    argv += ["--iidfile", str(request.id_file)] if request.id_file else []
    # podman's default format, OCI, has neither SHELL nor HEALTHCHECK.
    argv += ["--format", "docker"] if builder.name == "podman" else ["--progress=plain"]
    args = [(k, _with_registry(v) if builder.name == "podman" else v) for k, v in request.build_args]
    argv += [word for key, value in args for word in ("--build-arg", f"{key}={value}")]
    argv += [word for name, path in request.secrets for word in ("--secret", f"id={name},src={path}")]
    argv += ["--no-cache"] if request.no_cache else []
    argv += ["--cache-from", request.cache_from] if request.cache_from else []
    argv += _cache_to(builder, request.cache_to) if request.cache_to else []
    return [*argv, str(request.context)]


def _with_registry(value: str) -> str:
    """Add docker.io to Slipway's local images: podman's socket files them there and resolves no short names."""
    return f"docker.io/{value}" if value.startswith("slipway/") else value


def _cache_to(builder: Builder, target: str) -> list[str]:
    """Return the options to export the cache. A docker client without buildx can only put it in the image."""
    if builder.name != "buildkit":
        return ["--cache-to", target]
    if target.removeprefix("type=") == "inline":
        return ["--build-arg", "BUILDKIT_INLINE_CACHE=1"]
    raise Refused(f"--cache-to {target} needs buildx", fix="--cache-to inline, or install docker-buildx")


def choose(name: str = "") -> Builder:
    """Return the named builder, else the best one of this host.

    Raises Refused for an unknown name, Failed if this host has no such builder.
    """
    if name and name not in BACKENDS:
        raise choice("backend", name, BACKENDS)
    for builder in available():
        if name in ("", builder.name):
            return builder
    raise Failed(
        f"no {name or 'BuildKit'} builder",
        why="found neither buildx nor a docker client with BuildKit nor podman",
        fix="apt-get install docker.io (its client has BuildKit), or install docker-buildx or podman",
    )


def available() -> Iterator[Builder]:
    """Yield every builder of this host, the best first."""
    clients = _docker_clients()
    for docker in clients:
        if _output(docker, "buildx", "version"):
            yield Builder("buildx", (docker, "buildx", "build", "--load"))
    for docker in clients:
        # Clients before version 23 include BuildKit; later ones need the buildx plugin.
        if 18 < _major_version(_output(docker, "--version")) < 23:
            yield Builder("buildkit", (docker, "build"), (("DOCKER_BUILDKIT", "1"),))
    if podman := shutil.which("podman"):
        yield Builder("podman", (podman, "build"))


def _docker_clients() -> list[str]:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    clients = [Path(folder, "docker") for folder in folders]
    return list(dict.fromkeys(str(client) for client in clients if os.access(client, os.X_OK)))


def _output(*command: str) -> str:
    """Return the command's output, or "" if it fails or is not a program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _major_version(text: str) -> int:
    match = re.search(r"version (\d+)\.", text)
    return int(match.group(1)) if match else 0
