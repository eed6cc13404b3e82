"""The data of `lock.yaml`: the pinned inputs of every platform's image."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from errors import choice
from images.field_checks import Commit, Digest, OptionalSha256, Sha256

Mirror = Annotated[str, Field(pattern=r"^$|^\S+@sha256:[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Platform(_Frozen):
    """All inputs of one image. `dockerfile` is relative to `images/`; empty means `<name>/Dockerfile`."""

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


class Lock(_Frozen):
    """The whole file."""

    schema_: Literal[1] = Field(alias="schema")
    platforms: dict[str, Platform]

    def platform(self, name: str) -> Platform:
        """Return the inputs of a platform. Raises Refused for an unknown name."""
        if name not in self.platforms:
            raise choice("platform", name, sorted(self.platforms))
        return self.platforms[name]


def family(name: str) -> str:
    """Return cpu, cuda or rocm: `cuda-wheel` is another image for the same hardware."""
    return name.partition("-")[0]
