"""Read and check `lock.yaml`: every pinned input of every platform, or a refusal that names the key at fault.

The lock is the truth: a build takes what stands here and resolves nothing by itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import Refused, choice
from launch.data_file import parse_yaml

LOCK = Path(__file__).parents[1] / "lock.yaml"

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

    version: Annotated[str, Field(pattern=r"^(3\.\d+)?$")] = ""
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

    schema_: Literal[1] = Field(alias="schema")
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
    from images.lock import validation

    lock = parse(_data(path), path)
    validation.check(lock, path)
    return lock


def _data(path: Path) -> Any:
    import yaml

    try:
        return parse_yaml(path.read_text())
    except FileNotFoundError:
        raise Refused(f"{path} is missing", fix="git checkout -- images/lock.yaml restores it") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read", why=error.strerror or str(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not YAML", why=" ".join(str(error).split())[:300]) from None


def parse(data: Any, path: Path = LOCK) -> Lock:
    """The lock from plain data, its shape checked and nothing else."""
    try:
        return Lock.model_validate(data)
    except ValidationError as error:
        raise Refused(f"{path} is not a valid lock", why=first_fault(error)) from None


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "no such key is known",
    "literal_error": "{expected} is wanted",
    "model_type": "names and values are wanted",
    "dict_type": "names and values are wanted",
    "list_type": "a list is wanted",
    "string_type": "a word is wanted",
    "json_invalid": "is no JSON",
    r"^[0-9a-f]{64}$": "64 hex digits are wanted",
    r"^([0-9a-f]{64})?$": "64 hex digits are wanted",
    r"^([0-9a-f]{40})?$": "all 40 hex digits are wanted",
    r"^sha256:[0-9a-f]{64}$": "sha256: and 64 hex digits are wanted",
}


def first_fault(error: ValidationError) -> str:
    """Key, what is wrong with it and what stands there, in one line."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the whole file"
    if key.endswith("base.digest") and fault["type"] == "missing":
        return f"{key}: a tag without a digest is no pin, upstream moves and deletes tags"
    about = fault.get("ctx", {})
    words = _WORDS.get(about.get("pattern", fault["type"]), "")
    alone = fault["type"] in ("missing", "extra_forbidden", "json_invalid")
    given = "" if alone else f", not {str(fault['input'])[:80]!r}"
    return f"{key}: {words.format(**about) or fault['msg']}{given}"
