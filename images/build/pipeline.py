"""Lock entry -> image: base, context, BuildKit, proof, tag.

Nothing gets a name before it proved what it is.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed
from images.build import backend as backends
from images.build import base_image as bases
from images.build import context, disk, verify
from images.build import run as build_run
from images.lock import mirror
from images.lock.lockfile import LOCK, Lock, Platform, load
from launch.engine.client import is_podman

Show = Callable[[float, float | None, str], None]
WORK = Path(__file__).parents[2] / ".slipway"
ENTRYPOINT = ("vllm", "serve")  # of all our images, as of upstream's


@dataclass(frozen=True)
class BuildOptions:
    """What the user asked for beside the platform."""

    backend: str = ""
    no_cache: bool = False
    cache_from: str = ""
    cache_to: str = ""
    base: str = ""
    proxy: str = ""
    lock: str = ""


@dataclass(frozen=True)
class Built:
    """The image that a build left behind. Sizes are bytes, times seconds; a digest comes with a push."""

    platform: str
    tag: str
    id: str
    size: int
    base: str
    vllm_version: str
    seconds: dict[str, float]
    fresh: bool
    digest: str = ""


def reference(name: str, lock: Lock | None = None) -> str:
    """The local name of a platform's image: its vLLM version and the hash of all that went in."""
    platform = (lock or load()).platform(name)
    version = platform.vllm.version or platform.vllm.commit[:12] or "base"
    return f"slipway/vllm-{name}:{version.replace('+', '_')}-{inputs(name, platform)}"


def inputs(name: str, platform: Platform) -> str:
    """Twelve hex digits over all that goes in: what the lock pins and the files of ours."""
    return _hash(f"{platform.digest} {context.own_files(name)}")[:12]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def request(
    name: str,
    platform: Platform,
    base: str,
    options: BuildOptions,
    settings: Path | None = None,
    pip: dict[str, str] | None = None,
) -> backends.Request:
    """The build as data. `settings` is the folder with this host's `pip` and apt settings, where written."""
    args = (
        ("BASE", base),
        ("DEBIAN_PACKAGES", " ".join(platform.debian)),
        ("LABELS_LOCK", inputs(name, platform)),
        ("LABELS_VLLM", platform.vllm.version),
        ("LABELS_COMMIT", platform.vllm.commit),
    )
    secrets = tuple((p.stem, p) for p in sorted(settings.iterdir())) if settings else ()
    bundle = context.ca_bundle(context.pip_settings() if pip is None else pip)
    folder = WORK / "context" / name
    file = folder / Path(platform.dockerfile).name if platform.dockerfile else None
    return backends.Request(
        context=folder,
        dockerfile=file,
        build_args=tuple((key, value) for key, value in args if value),
        secrets=(*secrets, ("ca", bundle)) if bundle else secrets,
        no_cache=options.no_cache,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
    )


def build(client: Any, name: str, options: BuildOptions, show: Show) -> Built:
    """Build, read the contract, compare it to the lock, stamp it, tag.

    Raises Failed or Refused, and then tags nothing.
    """
    lock = load(Path(options.lock)) if options.lock else load()
    platform = lock.platform(name)
    tool = _tool(client, options.backend)
    tag = reference(name, lock) + (f"-above-{_hash(options.base)[:8]}" if options.base else "")
    if verify.existing(client, tag) is None and not options.base:
        disk.check(client, name)
    base = options.base or bases.ensure(client, name, platform, show, WORK)
    pip = context.pip_settings()
    with _settings(platform, options, pip) as settings:
        asked = request(name, platform, base, options, settings, pip)
        _fill(asked.context, name, platform, pip, Path(options.lock or LOCK).parent)
        image, steps = build_run.run(tool, asked, show)
    known, fresh = verify.prove(client, name, platform, image, tag, base, show)
    size, version = known.attrs["Size"], known.labels["slipway.vllm"]
    return Built(name, tag, known.id, size, base, version, steps.seconds, fresh, verify.digest(known))


def _tool(client: Any, wanted: str) -> backends.Builder:
    """The builder; podman builds into a store of its own, which a Docker engine does not see."""
    podman = is_podman(client)
    tool = backends.choose(wanted or ("podman" if podman else ""))
    if tool.name == "podman" and not podman:
        raise Failed(
            "only podman could build, and the engine is Docker" if not wanted else "podman is not the engine",
            why="an image that podman builds is not in Docker's store",
            fix="DOCKER_HOST=unix:///run/podman/podman.sock to work with podman, or install docker-buildx",
        )
    return tool


@contextmanager
def _settings(platform: Platform, options: BuildOptions, pip: dict[str, str]) -> Iterator[Path]:
    """This host's pip and apt settings as files only we can read, for as long as the build runs."""
    own = list(context.local_wheels(pip, platform.python.wheels))
    uv = context.uv_environment(pip, "" if own else platform.python.index, options.proxy)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pip.env").write_text(context.shell_words(uv))
        Path(folder, "apt.conf").write_text(context.apt_settings(options.proxy))
        yield Path(folder)


def _fill(folder: Path, name: str, platform: Platform, pip: dict[str, str], beside: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        local = context.local_wheels(pip, platform.python.wheels)
        wheels = [*local, *mirror.wheels(platform, WORK / "wheels")]
        context.assemble(folder, name, platform, wheels, beside)
    except OSError as error:
        raise Failed(
            f"cannot write what the build needs below {WORK}",
            why=str(error).splitlines()[0][:300],
            fix="make room there, and let this user write there",
        ) from None
