"""What to pin: a commit, a version, the newest nightly, another repository; a wish that makes no sense is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from errors import Refused
from images.lock.lockfile import Base

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]*")  # what an index and a tag may both be asked for


@dataclass(frozen=True)
class Aim:
    """What to pin: a commit, a version, the newest nightly, or (all empty) the same again, refreshed."""

    commit: str = ""
    version: str = ""
    nightly: bool = False
    repository: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.commit, self.version, self.nightly))) > 1:
            raise Refused("--commit, --version and --nightly say different things", fix="give one of them")
        if self.commit and not re.fullmatch("[0-9a-f]{40}", self.commit):
            raise Refused(f"'{self.commit}' is no full commit", fix="give all 40 hex digits")
        if self.version and not _VERSION.fullmatch(self.version):
            raise Refused(f"{self.version!r} is no version", fix="e.g. --version 0.33.0")

    @property
    def key(self) -> str:
        """How vLLM's wheel index calls it."""
        return self.commit or self.version or ("nightly" if self.nightly else "")

    def base(self, known: Base, tag: str) -> Base:
        """The base in the repository that is aimed at, where one is: what its digest is there is not known yet."""
        if not self.repository:
            return known
        return known.model_copy(update={"repository": self.repository, "tag": tag, "digest": ""})

    def tag(self, base: Base) -> str:
        """How vllm-openai's images are tagged: nightly-<commit>, v<version>, nightly."""
        if self.commit:
            return f"nightly-{self.commit}"
        if self.version:
            return f"v{self.version}"
        return "nightly" if self.nightly or (not base.tag and not base.digest) else base.tag
