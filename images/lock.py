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


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Base(_Frozen):
    """An image to build from. The tag is for people; the digest is what is pulled."""

    repository: str
    tag: str = ""
    digest: Digest
    source: str

    @property
    def reference(self) -> str:
        """`repository@sha256:...`, which no registry can move."""
        return f"{self.repository}@{self.digest}"


class Vllm(_Frozen):
    """vLLM itself: a wheel from the package index, or what the base image carries (`package` is empty)."""

    package: str = ""
    version: str = ""
    commit: Commit = ""
    source: str


class Python(_Frozen):
    """The packages above the base: a hashed requirements file, or the Python of a base that has them."""

    version: str = ""
    requirements: str = ""
    sha256: str = ""
    index: str = ""
    wheels: dict[str, Sha256] = {}
    leave_out: tuple[str, ...] = ()


class Platform(_Frozen):
    """All inputs of one image."""

    base: Base
    debian: tuple[str, ...] = ()
    vllm: Vllm
    python: Python

    @property
    def digest(self) -> str:
        """Twelve hex digits over every input: the same ones make the same image."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:12]


class Lock(_Frozen):
    """The whole file."""

    schema_: int = Field(alias="schema")
    platforms: dict[str, Platform]

    def platform(self, name: str) -> Platform:
        """One platform's inputs; an unknown name is refused with the known ones."""
        if name not in self.platforms:
            raise choice("platform", name, sorted(self.platforms))
        return self.platforms[name]


def load(path: Path = LOCK) -> Lock:
    """The lock, checked. Raises Refused with file, key and what was expected."""
    import yaml

    try:
        lock = Lock.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        raise Refused(f"{path} is missing", fix="invoke pin writes one") from None
    except yaml.YAMLError as error:
        raise Refused(f"{path} is not YAML", why=str(error)) from None
    except ValidationError as error:
        raise Refused(f"{path} is not a valid lock", why=_first(error.errors()[0])) from None
    for name, platform in lock.platforms.items():
        _check_requirements(path, name, platform.python)
    return lock


def _first(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    given = "" if fault["type"] in ("missing", "extra_forbidden") else f", not {str(fault['input'])[:80]!r}"
    return f"{key}: {fault['msg']}{given}"


def _check_requirements(lock: Path, name: str, python: Python) -> None:
    """The requirements file must be the one the lock speaks of: a stray edit is no pin."""
    if not python.requirements:
        return
    path = lock.parent / python.requirements
    if not path.exists():
        raise Refused(f"{path} is missing", why=f"{lock.name} names it for platform {name}")
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    if seen != python.sha256:
        raise Refused(
            f"{path} is not the file that {lock.name} pins",
            why=f"sha256 is {seen}, platforms.{name}.python.sha256 says {python.sha256 or 'nothing'}",
            fix="restore the file, or refresh both together with `invoke pin`",
        )
