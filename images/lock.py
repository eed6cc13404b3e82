"""Read and check `lock.yaml`: every pinned input of every platform, or a refusal that names the key at fault.

The lock is the truth: a build takes what stands here and resolves nothing by itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import Refused, choice

LOCK = Path(__file__).with_name("lock.yaml")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
Mirror = Annotated[str, Field(pattern=r"^$|^\S+@sha256:[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Base(_Frozen):
    """An image to build from. The tag is for people, the digest is pulled; `mirror` is our own copy."""

    repository: str
    tag: str = ""
    digest: Digest
    mirror: Mirror = ""
    source: str

    @property
    def reference(self) -> str:
        """`repository@sha256:...`, which no registry can move."""
        return f"{self.repository}@{self.digest}"

    @property
    def references(self) -> tuple[str, ...]:
        """Where it can be had, our own copy first: upstream deletes nightlies after 14 builds."""
        return (self.mirror, self.reference) if self.mirror else (self.reference,)


class Wheel(_Frozen):
    """One wheel by address and hash. `mirror` is a copy kept as a blob in a registry."""

    package: str
    version: str = ""
    commit: Commit = ""
    wheel: str = ""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    mirror: Mirror = ""
    source: str

    @property
    def file(self) -> str:
        """The wheel's file name."""
        from urllib.parse import unquote, urlsplit

        return unquote(urlsplit(self.wheel).path).rsplit("/", 1)[-1]


class Vllm(Wheel):
    """vLLM itself: from the package index, as one wheel, or what the base carries (`package` is empty)."""

    package: str = ""


class Python(_Frozen):
    """The packages above the base: a hashed requirements file, or the Python of a base that has them."""

    version: str = ""
    requirements: str = ""
    sha256: str = ""
    index: str = ""
    wheels: dict[str, Sha256] = {}
    leave_out: tuple[str, ...] = ()
    source: str = ""


class Platform(_Frozen):
    """All inputs of one image. `dockerfile` is relative to this folder; empty means `<name>/Dockerfile`."""

    dockerfile: str = ""
    base: Base
    debian: tuple[str, ...] = ()
    vllm: Vllm
    deep_gemm: Wheel | None = None
    python: Python

    @property
    def digest(self) -> str:
        """Twelve hex digits over every input; where it was read or mirrored is none."""
        told = {"source": True, "mirror": True}
        left_out: Any = {"base": told, "vllm": told, "deep_gemm": told, "python": {"source": True}}
        inputs = self.model_dump(exclude=left_out, exclude_defaults=True)
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def single_wheels(self) -> tuple[Wheel, ...]:
        """What is installed from an address of its own."""
        return tuple(w for w in (self.vllm, self.deep_gemm) if w and w.wheel)


class Lock(_Frozen):
    """The whole file."""

    schema_: int = Field(alias="schema")
    platforms: dict[str, Platform]

    def platform(self, name: str) -> Platform:
        """One platform's inputs; an unknown name is refused with the known ones."""
        if name not in self.platforms:
            raise choice("platform", name, sorted(self.platforms))
        return self.platforms[name]


def family(name: str) -> str:
    """cpu, cuda or rocm: `cuda-wheel` is another way to the same platform."""
    return name.partition("-")[0]


def load(path: Path = LOCK) -> Lock:
    """The lock, checked. Raises Refused with file, key and what was expected."""
    import yaml

    from images import lock_rules

    try:
        lock = parse(yaml.safe_load(path.read_text()), path)
    except FileNotFoundError:
        raise Refused(f"{path} is missing", fix="git checkout -- images/lock.yaml restores it") from None
    except yaml.YAMLError as error:
        raise Refused(f"{path} is not YAML", why=str(error)) from None
    lock_rules.check(lock, path)
    return lock


def parse(data: Any, path: Path = LOCK) -> Lock:
    """The lock from plain data, its shape checked and nothing else."""
    try:
        return Lock.model_validate(data)
    except ValidationError as error:
        raise Refused(f"{path} is not a valid lock", why=_first(error.errors()[0])) from None


def _first(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if key.endswith("base.digest") and fault["type"] == "missing":
        return f"{key}: a tag without a digest is no pin, upstream moves and deletes tags"
    given = "" if fault["type"] in ("missing", "extra_forbidden") else f", not {str(fault['input'])[:80]!r}"
    return f"{key}: {fault['msg']}{given}"
