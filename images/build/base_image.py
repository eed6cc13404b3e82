"""The image below ours: the pinned one, local or pulled; for wheels, where no registry answers, our own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from errors import Failed
from images.build import debian_base
from images.lock.lockfile import Platform
from launch.engine.images import is_here

Show = Callable[[float, float | None, str], None]


def ensure(client: Any, name: str, platform: Platform, show: Show, work: Path) -> str:
    """The name of a base that is on the engine now. Raises Failed with what each registry said."""
    plain = bool(platform.python.requirements)  # wheels bring all else: any Debian with Python will do
    local = debian_base.tag(platform.debian)
    for known in (*platform.base.references, local) if plain else platform.base.references:
        if is_here(client, known):
            return known
    said = []
    for reference in platform.base.references:
        show(0, None, f"pulling {reference}")
        if not (refusal := _pull(client, reference)):
            return reference
        said.append(f"{reference}: {refusal}")
    if not plain:
        raise Failed(
            f"cannot pull the base of {name}",
            why="; ".join(said),
            fix="check the network to that registry, or mirror the base with `invoke pin --mirror`",
        )
    show(0, None, "no registry answers: making a base from this host's packages")
    return _own(client, local, platform, work)


def _pull(client: Any, reference: str) -> str:
    """Pull; what went wrong, or nothing. A stream's `error` record raises nothing by itself, so look."""
    from docker.errors import APIError, DockerException

    try:
        for record in client.api.pull(reference, stream=True, decode=True):
            if "error" in record:
                return str(record["error"])
    except (APIError, DockerException) as error:
        return str(error)[-300:]
    return ""


def _own(client: Any, tag: str, platform: Platform, work: Path) -> str:
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        tar = Path(folder, "base.tar")
        debian_base.make(tar, platform.debian)
        repository, _, version = tag.partition(":")
        said = client.api.import_image(src=str(tar), repository=repository, tag=version)
    if not is_here(client, tag):  # podman 4.3 leaves the tag out
        imported = json.loads(said.strip().splitlines()[-1])["status"]
        client.images.get(imported).tag(repository, tag=version)
    return tag
