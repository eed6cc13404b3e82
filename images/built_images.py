"""List the images that Slipway built on this host, and remove old ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from errors import Failed
from images import capabilities
from images.build.pipeline import reference
from images.lock.lockfile import load

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

REPOSITORIES = ("slipway/", "docker.io/slipway/", "localhost/slipway/")


@dataclass(frozen=True)
class BuiltImage:
    """One image by its tag. Sizes are bytes; `state` is `current`, `in use` or `old`."""

    tag: str
    id: str
    vllm: str
    size: int
    created: str
    state: str

    def as_dict(self) -> dict[str, Any]:
        """The values of `invoke images --format json`."""
        return asdict(self)

    def age(self, now: datetime | None = None) -> str:
        """`3 days`, `5 hours`."""
        made = datetime.fromisoformat(self.created[:19]).replace(tzinfo=UTC)
        hours = int(((now or datetime.now(UTC)) - made).total_seconds() // 3600)
        return f"{hours // 24} days" if hours >= 48 else f"{max(hours, 0)} hours"


def built_images(client: DockerClient) -> list[BuiltImage]:
    """The images of vLLM that Slipway built, by tag."""
    lock = load()
    current = {reference(name, lock) for name in lock.platforms}
    used = {str(row["ImageID"]) for row in client.api.containers(all=True)}
    found = [
        _described(image, tag, current, used)
        for image in client.images.list(filters={"label": capabilities.LABEL})
        for tag in image.tags
        if tag.startswith(REPOSITORIES)
    ]
    return sorted(found, key=lambda image: image.tag)


def _described(image: Image, tag: str, current: set[str], used: set[str]) -> BuiltImage:
    plain = tag.removeprefix("docker.io/").removeprefix("localhost/")
    state = "current" if plain in current else "in use" if image.id in used else "old"
    vllm = str(image.labels.get("slipway.vllm", ""))
    return BuiltImage(tag, str(image.id), vllm, int(image.attrs["Size"]), str(image.attrs["Created"]), state)


def remove_old(client: DockerClient, *, dry_run: bool = False) -> list[BuiltImage]:
    """Remove the images that the lock file no longer describes and that no container uses. Returns them."""
    from docker.errors import APIError

    old = [image for image in built_images(client) if image.state == "old"]
    for image in () if dry_run else old:
        try:
            client.images.remove(image.tag)
        except APIError as error:
            why = str(error.explanation or error)
            raise Failed(f"cannot remove the image '{image.tag}'", why=why, fix="docker ps -a") from None
    return old
