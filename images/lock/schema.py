"""The data of `lock.yaml`: the pinned inputs of every image. A platform has one image for each channel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from errors import Refused, choice
from images.field_checks import Commit, Digest, FullCommit, Name, OptionalSha256, Sha256

ModelName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$")
]
PlatformName = Literal["cpu", "rocm", "cuda"]
Mirror = Annotated[str, Field(pattern=r"^$|^\S+@sha256:[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Base(_Frozen):
    """The image to build from. The tag is for people; the digest is what a build pulls."""

    repository: str
    tag: str = ""
    digest: Digest
    mirror: Mirror = ""  # a copy of the same digest in another registry
    source: str

    @property
    def reference(self) -> str:
        """Return `repository@sha256:...`, which always names the same image."""
        return f"{self.repository}@{self.digest}"

    @property
    def references(self) -> tuple[str, ...]:
        """Return all references in the order to try them: the mirror first.

        Upstream keeps only its 14 newest nightly images.
        """
        return (self.mirror, self.reference) if self.mirror else (self.reference,)


class Wheel(_Frozen):
    """A wheel with its URL and hash."""

    package: str
    version: str = ""
    commit: Commit = ""
    wheel: str = ""  # its URL
    sha256: OptionalSha256 = ""
    mirror: Mirror = ""  # a copy, stored as a blob in a registry
    source: str

    @property
    def file(self) -> str:
        """Return the file name of the wheel."""
        return unquote(urlsplit(self.wheel).path).rsplit("/", 1)[-1]


class Vllm(Wheel):
    """vLLM: a package of the index, a wheel, or part of the base image (then `package` is empty)."""

    package: str = ""


class Python(_Frozen):
    """The Python packages: a hashed requirements file, or the Python version of a base that includes them."""

    version: Annotated[str, Field(pattern=r"^(3\.\d+)?$")] = ""
    requirements: str = ""
    sha256: str = ""
    index: str = ""
    wheels: dict[str, Sha256] = {}
    leave_out: tuple[str, ...] = ()
    source: str = ""


class ImageInputs(_Frozen):
    """All inputs of one image. `dockerfile` is relative to `images/`; empty means `<platform>/Dockerfile`."""

    dockerfile: str = ""
    base: Base
    debian: tuple[str, ...] = ()
    vllm: Vllm
    deep_gemm: Wheel | None = None
    python: Python

    @property
    def digest(self) -> str:
        """Return twelve hex digits over all inputs. `source` and `mirror` do not change what is built."""
        excluded = {"source": True, "mirror": True}
        exclude: Any = {"base": excluded, "vllm": excluded, "deep_gemm": excluded, "python": {"source": True}}
        inputs = self.model_dump(exclude=exclude, exclude_defaults=True)
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def single_wheels(self) -> tuple[Wheel, ...]:
        """Return the wheels that are installed from a URL."""
        return tuple(wheel for wheel in (self.vllm, self.deep_gemm) if wheel and wheel.wheel)


@dataclass(frozen=True)
class LockedImage:
    """One image of the lock. `name` stands in tags and caches: `cuda`, or `cuda-nightly` for another channel.

    `others` are the other channels of the platform.
    """

    platform: str
    channel: str
    name: str
    pins: ImageInputs
    others: tuple[LockedImage, ...] = field(default=(), compare=False)

    @property
    def key(self) -> str:
        """Return the place of the image in the lock, for messages."""
        return f"platforms.{self.platform}.{self.channel}"

    @property
    def options(self) -> str:
        """Return the options of `invoke build` that select this image."""
        channel = f" --channel {self.channel}" if self.name != self.platform else ""
        return f"--platform {self.platform}{channel}"

    @property
    def pin_options(self) -> str:
        """Return the options of `invoke pin` that select this image; without a channel it updates all of them."""
        channel = f" --channel {self.channel}" if self.others else ""
        return f"--platform {self.platform}{channel}"

    @property
    def renewal(self) -> str:
        """Return how to replace an input that no longer exists."""
        newest = " --nightly" if self.channel == "nightly" else ""
        pin = f"invoke pin {self.pin_options}{newest} --mirror REGISTRY pins an existing one and keeps a copy"
        channels = " or ".join(other.channel for other in self.others)
        return f"{pin}; or use --channel {channels}" if channels else pin

    @property
    def dockerfile(self) -> str:
        """Return the Dockerfile of the image, relative to `images/`."""
        return self.pins.dockerfile or f"{self.platform}/Dockerfile"


class LockedModel(_Frozen):
    """The weights of a model: a commit of its repository, and the digest of the list of files at that commit."""

    commit: FullCommit
    manifest: Digest
    source: str


class Lock(_Frozen):
    """The whole file. The first channel of a platform is its default."""

    schema_: Literal[2] = Field(alias="schema")
    platforms: dict[PlatformName, Annotated[dict[Name, ImageInputs], Field(min_length=1)]]
    models: dict[ModelName, LockedModel] = {}

    def image(self, platform: str, channel: str = "") -> LockedImage:
        """Return an image; an empty channel is the default one. Raises Refused for an unknown name."""
        channels = self._channels(platform)
        default = next(iter(channels))
        channel = channel or default
        if channel not in channels:
            raise choice(f"{platform} channel", channel, list(channels))
        names = {key: platform if key == default else f"{platform}-{key}" for key in channels}
        others = tuple(
            LockedImage(platform, key, names[key], pins) for key, pins in channels.items() if key != channel
        )
        return LockedImage(platform, channel, names[channel], channels[channel], others)

    def images(self) -> tuple[LockedImage, ...]:
        """Return all images in the order of the file."""
        return tuple(
            self.image(platform, channel)
            for platform, channels in self.platforms.items()
            for channel in channels
        )

    def with_pins(self, changed: Mapping[tuple[str, str], ImageInputs]) -> Lock:
        """Return the lock with other inputs for some images, by platform and channel."""
        platforms = {
            platform: {channel: changed.get((platform, channel), pins) for channel, pins in channels.items()}
            for platform, channels in self.platforms.items()
        }
        return self.model_copy(update={"platforms": platforms})

    def _channels(self, platform: str) -> dict[str, ImageInputs]:
        for known, channels in self.platforms.items():
            if platform == known:
                return channels
            if platform.removeprefix(f"{known}-") in channels:
                channel = platform.removeprefix(f"{known}-")
                raise Refused(
                    f"unknown platform '{platform}'",
                    why=f"'{channel}' is a channel of the platform {known}",
                    fix=f"--platform {known} --channel {channel}",
                )
        raise choice("platform", platform, list(self.platforms))
