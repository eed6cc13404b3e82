"""What a lock must not say although each key is well formed: rules that look at more than one of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from errors import Refused
from images.lock.lockfile import Lock, Platform, Python, family
from launch.data_file import load

HISTORY = Path(__file__).with_name("history.yaml")
_DEEP_GEMM_INSIDE = Version("0.20")  # shipped in vLLM's wheel since 2026-04-09 (vLLM #37980)
_SPEAKS_CUDA = re.compile(r"\+cu\d|nvidia[-_]")


def check(lock: Lock, path: Path) -> None:
    """Raises Refused with the first thing that is wrong, its key and what to do."""
    for name, platform in lock.platforms.items():
        for key, wrong in faults(name, platform):
            raise Refused(
                f"{path} is not a valid lock",
                why=f"platforms.{name}.{key}: {wrong}",
                fix=f"invoke pin --platform {name}",
            )
        _check_requirements(path, name, platform.python)


def faults(name: str, platform: Platform) -> Iterator[tuple[str, str]]:
    """Pairs of a key and what is wrong with it."""
    for wheel in platform.single_wheels:
        if not wheel.sha256:
            key = "vllm" if wheel is platform.vllm else "deep_gemm"
            yield f"{key}.sha256", f"the wheel {wheel.file} has no sha256"
        if platform.python.version and not _installs(wheel.file, platform.python.version):
            yield "python.version", f"{wheel.file} is not for Python {platform.python.version}"
    too_old = older_than_minimum(platform.vllm.version, platform.vllm.commit)
    if too_old:
        yield "vllm", too_old
    if family(name) == "rocm":
        yield from _rocm(platform)
    from_wheel = family(name) == "cuda" and platform.vllm.package
    if from_wheel and not platform.deep_gemm and _version(platform.vllm.version) < _DEEP_GEMM_INSIDE:
        yield "deep_gemm", f"vLLM {platform.vllm.version} does not carry DeepGEMM: pin it too"
    if platform.vllm.package and not (platform.python.requirements or platform.vllm.wheel):
        yield "python.requirements", "packages without a file of hashes"


def _rocm(platform: Platform) -> Iterator[tuple[str, str]]:
    """With another Python, vLLM's index silently hands out the CUDA wheel (vLLM's ROCm installation page)."""
    named = [wheel.file for wheel in platform.single_wheels] + list(platform.python.wheels)
    for file in named:
        if _SPEAKS_CUDA.search(file) or "rocm" not in file:
            yield "vllm.wheel", f"{file} is not a ROCm wheel"
    if platform.python.version != "3.12":
        yield "python.version", f"ROCm wheels are for Python 3.12, not {platform.python.version or 'unsaid'}"


def _installs(file: str, python: str) -> bool:
    """Does CPython of that version take this wheel? A name that is no wheel's is left to the installer."""
    try:
        _, _, _, offered = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return True
    major, minor = (int(part) for part in python.split(".")[:2])
    taken = {(tag.interpreter, tag.abi) for tag in cpython_tags((major, minor), platforms=["any"])}
    taken |= {(tag.interpreter, tag.abi) for tag in compatible_tags((major, minor), platforms=["any"])}
    return any((tag.interpreter, tag.abi) in taken for tag in offered)


@dataclass(frozen=True)
class OldestCommit:
    """The commit that MiniMax-M2 needs, and the first release with it."""

    commit: str
    release: str
    merged: date
    source: str


@dataclass(frozen=True)
class KnownCommit:
    """A commit of vLLM: the release that was made of it, or a day on which it was already there."""

    source: str
    release: str = ""
    seen: date | None = None


@dataclass(frozen=True)
class History:
    """The rows of history.yaml."""

    minimum: OldestCommit
    commits: dict[str, KnownCommit]


@cache
def _history() -> History:
    return load(HISTORY, History)


def older_than_minimum(version: str, commit: str) -> str:
    """Return why this vLLM is too old for MiniMax-M2, or ""; the number of a development version says nothing."""
    minimum, row = _history().minimum, _history().commits.get(commit)
    need = f"MiniMax-M2 needs {minimum.release} or commit {minimum.commit[:12]} ({minimum.source})"
    known = version or (row.release if row else "")
    if known and _version(known) < Version(minimum.release) and not _version(known).is_devrelease:
        return f"vLLM {known} is too old: {need}"
    if row and row.seen and row.seen < minimum.merged:
        return f"commit {commit[:12]} was there on {row.seen}: too old, {need}"
    return ""


def _version(text: str) -> Version:
    """An unreadable version counts as the newest: it proves nothing."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("9999")


def _check_requirements(lock: Path, name: str, python: Python) -> None:
    """The requirements file must be the one the lock speaks of, and every line of it hashed."""
    if not python.requirements:
        return
    path = lock.parent / python.requirements
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise Refused(f"{path} {said}", why=f"{lock.name} names it for platform {name}") from None
    seen = hashlib.sha256(text.encode()).hexdigest()
    if seen != python.sha256:
        raise Refused(
            f"{path} is not the file that {lock.name} pins",
            why=f"sha256 is {seen}, platforms.{name}.python.sha256 says {python.sha256 or 'nothing'}",
            fix="restore the file, or refresh both together with `invoke pin`",
        )
    for entry in re.split(r"\n(?=\S)", text.strip()):
        if entry and not entry.startswith("#") and "--hash=sha256:" not in entry:
            raise Refused(f"{path}: {entry.split()[0]} has no hash", fix=f"invoke pin --platform {name}")
