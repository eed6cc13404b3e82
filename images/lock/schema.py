"""The data of `lock.yaml`: the pinned inputs of every image. A platform has one image for each channel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from errors import Refused, choice
from images.field_checks import Commit, Digest, FullCommit, Name, OptionalSha256, Sha256
from launch.checked_data.value_checks import NotEmpty, Pattern

ModelName = Annotated[str, Pattern(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$")]
PlatformName = Literal["cpu", "rocm", "cuda"]
Mirror = Annotated[str, Pattern(r"^$|^\S+@sha256:[0-9a-f]{64}$")]


class _Strict:
    """A mapping of the lock. A key that it does not name is an error."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Base(_Strict):
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


@dataclass(frozen=True, kw_only=True)
class Wheel(_Strict):
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


@dataclass(frozen=True, kw_only=True)
class Vllm(Wheel):
    """vLLM: a package of the index, a wheel, or part of the base image (then `package` is empty)."""

    package: str = ""


@dataclass(frozen=True, kw_only=True)
class Python(_Strict):
    """The Python packages: a hashed requirements file, or the Python version of a base that includes them."""

    version: Annotated[str, Pattern(r"^(3\.\d+)?$")] = ""
    requirements: str = ""
    sha256: str = ""
    index: str = ""
    wheels: dict[str, Sha256] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageInputs(_Strict):
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
        inputs = as_data(self, ("source", "mirror"))
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


@dataclass(frozen=True, kw_only=True)
class LockedModel(_Strict):
    """The weights of a model: a commit of its repository, and the digest of the list of files at that commit."""

    commit: FullCommit
    manifest: Digest
    source: str


@dataclass(frozen=True, kw_only=True)
class Lock(_Strict):
    """The whole file. The first channel of a platform is its default."""

    schema: Literal[2]
    platforms: dict[PlatformName, Annotated[dict[Name, ImageInputs], NotEmpty()]]
    models: dict[ModelName, LockedModel] = field(default_factory=dict)

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
        return replace(self, platforms=platforms)

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


def as_data(part: Any, leave_out: Collection[str] = ()) -> Any:
    """Return a part of the lock as plain values, in the order of its fields, without default values."""
    if is_dataclass(part):
        return {
            one.name: as_data(value, leave_out)
            for one in fields(part)
            if one.name not in leave_out and (value := getattr(part, one.name)) != _default(one)
        }
    if isinstance(part, Mapping):
        return {key: as_data(value, leave_out) for key, value in part.items()}
    return list(part) if isinstance(part, tuple) else part


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default
