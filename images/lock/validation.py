"""Rules for a lock that compare several keys, files or dates. `schema.py` checks each key alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from errors import Refused
from images.lock import history
from images.lock.schema import ImageInputs, Lock, LockedImage

_INCLUDES_DEEP_GEMM = Version("0.20")  # vLLM's wheel includes DeepGEMM since 2026-04-09 (vLLM #37980)
_CUDA_FILE = re.compile(r"\+cu\d|nvidia[-_]")


def check(lock: Lock, path: Path) -> None:
    """Raise Refused for the first rule that the lock breaks, with the key and the command that helps."""
    for image in lock.images():
        for key, problem in problems(image):
            raise Refused(
                f"{path} is not a valid lock",
                why=f"{image.key}.{key}: {problem}",
                fix=f"invoke pin {image.pin_options}",
            )
        _check_requirements(path, image)


def problems(image: LockedImage) -> Iterator[tuple[str, str]]:
    """Yield a key and a message for each rule that an image breaks."""
    pins = image.pins
    for wheel in pins.single_wheels:
        if not wheel.sha256:
            key = "vllm" if wheel is pins.vllm else "deep_gemm"
            yield f"{key}.sha256", f"the wheel {wheel.file} has no sha256"
        if pins.python.version and not _installs(wheel.file, pins.python.version):
            yield "python.version", f"{wheel.file} does not support Python {pins.python.version}"
    if too_old := history.older_than_minimum(pins.vllm.version, pins.vllm.commit):
        yield "vllm", too_old
    if image.platform == "rocm":
        yield from _rocm_problems(pins)
    if image.platform == "cuda" and _lacks_deep_gemm(pins):
        yield "deep_gemm", f"vLLM {pins.vllm.version} does not include DeepGEMM: pin it too"
    if pins.vllm.package and not (pins.python.requirements or pins.vllm.wheel):
        yield "python.requirements", "a package needs a requirements file with hashes"


def _rocm_problems(pins: ImageInputs) -> Iterator[tuple[str, str]]:
    """For any other Python version, vLLM's index returns the CUDA wheel (vLLM's ROCm installation page)."""
    for file in [wheel.file for wheel in pins.single_wheels] + list(pins.python.wheels):
        if _CUDA_FILE.search(file) or "rocm" not in file:
            yield "vllm.wheel", f"{file} is not a ROCm wheel"
    if pins.python.version != "3.12":
        found = pins.python.version or "missing"
        yield "python.version", f"ROCm wheels need Python 3.12 (python.version is {found})"


def _lacks_deep_gemm(pins: ImageInputs) -> bool:
    from_wheel = bool(pins.vllm.package) and not pins.deep_gemm
    return from_wheel and history.parse(pins.vllm.version) < _INCLUDES_DEEP_GEMM


def _installs(file: str, python: str) -> bool:
    """Return whether CPython of that version accepts the wheel. Leave an unreadable name to the installer."""
    try:
        _, _, _, offered = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return True
    major, minor = (int(part) for part in python.split(".")[:2])
    accepted = {(tag.interpreter, tag.abi) for tag in cpython_tags((major, minor), platforms=["any"])}
    accepted |= {(tag.interpreter, tag.abi) for tag in compatible_tags((major, minor), platforms=["any"])}
    return any((tag.interpreter, tag.abi) in accepted for tag in offered)


def _check_requirements(lock: Path, image: LockedImage) -> None:
    """Raise Refused unless the requirements file is the pinned one and every requirement has a hash."""
    python = image.pins.python
    if not python.requirements:
        return
    path = lock.parent / python.requirements
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        problem = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise Refused(f"{path} {problem}", why=f"{image.key} names it") from None
    actual = hashlib.sha256(text.encode()).hexdigest()
    if actual != python.sha256:
        raise Refused(
            f"{path} is not the file that {lock.name} pins",
            why=f"its sha256 is {actual}; {image.key}.python.sha256 is {python.sha256 or 'missing'}",
            fix="restore the file, or update both with `invoke pin`",
        )
    for entry in re.split(r"\n(?=\S)", text.strip()):
        if entry and not entry.startswith("#") and "--hash=sha256:" not in entry:
            raise Refused(f"{path}: {entry.split()[0]} has no hash", fix=f"invoke pin {image.pin_options}")
