"""What `invoke pin` updates: a commit, a version or a nightly, in which images of the lock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from errors import Refused
from images.lock.schema import Base, Lock, LockedImage

COMMIT = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]*")  # becomes part of a URL and of an image tag


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
        if self.commit and not COMMIT.fullmatch(self.commit):
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
        return replace(base, repository=self.repository, tag=tag, digest="")

    def tag(self, base: Base) -> str:
        """Return the tag of a vllm-openai image: nightly-<commit>, v<version> or nightly."""
        if self.commit:
            return f"nightly-{self.commit}"
        if self.version:
            return f"v{self.version}"
        return "nightly" if self.nightly or (not base.tag and not base.digest) else base.tag

    def release(self, tag: str) -> str:
        """Return the vLLM version that the options or the tag `v<version>` name, or ""."""
        named = tag.removeprefix("v") if tag.startswith("v") else ""
        return self.version or (named if _VERSION.fullmatch(named) else "")


def select(lock: Lock, platform: str, channel: str, options: PinOptions) -> tuple[LockedImage, ...]:
    """Return the images to update. Raises Refused for a name that the lock does not have.

    Without a channel, the options decide: a nightly or a commit means `nightly`, a version the default channel,
    anything else every channel.
    """
    if platform:
        lock.image(platform, channel)  # refuses an unknown name
    if options.version and not channel:
        return tuple(lock.image(name) for name in ([platform] if platform else lock.platforms))
    channel = channel or ("nightly" if options.nightly or options.commit else "")
    candidates = [image for image in lock.images() if platform in ("", image.platform)]
    selected = tuple(image for image in candidates if channel in ("", image.channel))
    if not selected:
        raise _no_channel(channel, candidates, options)
    if options.repository and len(selected) > 1:
        raise Refused(
            "--base needs --channel",
            why=f"each channel has its own base image: {', '.join(image.channel for image in selected)}",
            fix=f"--channel {selected[0].channel}",
        )
    return selected


def _no_channel(channel: str, candidates: Sequence[LockedImage], options: PinOptions) -> Refused:
    first = candidates[0]
    asked = f" --commit {options.commit}" if options.commit else " --nightly" if options.nightly else ""
    return Refused(
        f"{first.platform if len({i.platform for i in candidates}) == 1 else 'the lock'} has no channel '{channel}'",
        why=f"the channels are {', '.join(dict.fromkeys(image.channel for image in candidates))}",
        fix=f"invoke pin --platform {first.platform} --channel {first.channel}{asked}",
    )
