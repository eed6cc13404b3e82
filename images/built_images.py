"""List the images that Slipway built on this host, and remove old ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from errors import Failed
from images import capabilities
from images.build.local_name import reference
from images.lock.schema import Lock

if TYPE_CHECKING:
    from docker import DockerClient

REGISTRIES = ("docker.io/", "localhost/")  # podman adds one to a local name
OWN = "slipway/"


@dataclass(frozen=True)
class BuiltImage:
    """One image by its tag. `size` is in bytes; `state` is `current`, `in use`, `base` or `old`."""

    tag: str
    id: str
    vllm: str
    size: int
    created: str
    state: str

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke images --format json`."""
        return asdict(self)

    def age(self, now: datetime | None = None) -> str:
        """Return the age, for example `3 days` or `5 hours`."""
        seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(self.created)).total_seconds()
        hours = max(int(seconds // 3600), 0)
        return f"{hours // 24} days" if hours >= 48 else f"{hours} hour{'' if hours == 1 else 's'}"


def built_images(client: DockerClient, lock: Lock) -> list[BuiltImage]:
    """Return the images below `slipway/` by tag: those with vLLM, and the bases that they were built on."""
    current = {reference(image) for image in lock.images()}
    used = {str(row["ImageID"]) for row in client.api.containers(all=True)}
    found = [
        _described(row, tag, current, used)
        for row in client.api.images()
        for tag in row.get("RepoTags") or ()
        if _local(tag).startswith(OWN)
    ]
    return sorted(found, key=lambda image: image.tag)


def _local(tag: str) -> str:
    """Return the tag without the registry that podman adds."""
    for registry in REGISTRIES:
        tag = tag.removeprefix(registry)
    return tag


def _described(row: dict[str, Any], tag: str, current: set[str], used: set[str]) -> BuiltImage:
    labels = row.get("Labels") or {}
    if _local(tag) in current:
        state = "current"
    elif row["Id"] in used:
        state = "in use"
    else:
        state = "old" if capabilities.LABEL in labels else "base"
    created = datetime.fromtimestamp(int(row["Created"]), UTC).isoformat()
    return BuiltImage(
        tag, str(row["Id"]), str(labels.get("slipway.vllm", "")), int(row["Size"]), created, state
    )


def remove_old(client: DockerClient, lock: Lock, *, dry_run: bool = False) -> list[BuiltImage]:
    """Remove images with vLLM that the lock no longer describes, unless a container uses them; return them.

    Base images stay: the next build needs one of them.
    """
    from docker.errors import APIError

    old = [image for image in built_images(client, lock) if image.state == "old"]
    for image in () if dry_run else old:
        try:
            client.images.remove(image.tag)
        except APIError as error:
            why = str(error.explanation or error)
            raise Failed(f"cannot remove the image '{image.tag}'", why=why, fix="docker ps -a") from None
    return old
