"""Ask registries and package indexes whether they still have the pinned inputs of an image.

An input is gone only if its source answers and does not have it. A source that does not answer, or that refuses the
login, leaves the state unknown. Nothing is downloaded except wheels with a URL, whose content is hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from errors import Failed
from images.lock import index_packages, wheel_index
from images.lock.pin import Report, Sources
from images.lock.schema import LockedImage, Wheel
from launch.http.client import NotFound
from launch.spec.image_reference import ImageReference

Look = Callable[
    [], object
]  # raises NotFound if the source does not have the input, Failed if it does not say


@dataclass(frozen=True)
class CheckedInput:
    """One pinned input: its key in the lock, what it is, and whether it still exists. `fix` is set if it is gone."""

    key: str
    input: str
    state: Literal["present", "gone", "unknown"]
    why: str = ""
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the values of `invoke pin --check --format json`."""
        return asdict(self)


def ask(key: str, name: str, look: Look, fix: str) -> CheckedInput:
    """Return the state of an input."""
    try:
        look()
    except NotFound as error:
        return CheckedInput(key, name, "gone", _reason(error), fix)
    except Failed as error:
        return CheckedInput(key, name, "unknown", _reason(error))
    return CheckedInput(key, name, "present")


def ask_each(key: str, sources: Sequence[tuple[str, Look]], fix: str) -> CheckedInput:
    """Return the state of an input with several sources. As in a build, the first one that has it is enough."""
    without: list[CheckedInput] = []
    for name, look in sources:
        one = ask(key, name, look, fix)
        why = "; ".join(f"{other.input}: {other.why}" for other in without)
        if one.state == "present":
            return replace(one, why=why)
        without.append(one)
    last = without[-1]
    undecided = next((one for one in without if one.state == "unknown"), last)
    return replace(undecided, input=last.input, why="; ".join(one.why for one in without))


def _reason(error: Failed) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what


def check_image(image: LockedImage, folder: Path, sources: Sources, report: Report) -> Iterator[CheckedInput]:
    """Yield each input of an image with its state. `folder` is that of the lock file."""
    base = image.pins.base
    report(f"looking up {base.repository}")
    references = [(name, partial(_find_image, name, sources)) for name in base.references]
    yield ask_each(f"{image.key}.base", references, image.renewal)
    for key, wheel in (("vllm", image.pins.vllm), ("deep_gemm", image.pins.deep_gemm)):
        if wheel and wheel.wheel:
            report(f"looking up {wheel.file}")
            yield ask_each(f"{image.key}.{key}", _wheel_sources(wheel, sources), image.renewal)
    if image.pins.python.requirements:
        report(f"looking up the packages of {image.pins.python.requirements}")
        yield from _packages(image, folder)


def _find_image(reference: str, sources: Sources) -> None:
    image = ImageReference.parse(reference)
    sources.registry(image.registry).resolve(image.repository, image.digest)


def _wheel_sources(wheel: Wheel, sources: Sources) -> list[tuple[str, Look]]:
    copy: list[tuple[str, Look]] = (
        [(wheel.mirror, partial(_find_copy, wheel, sources))] if wheel.mirror else []
    )
    return [*copy, (wheel.wheel, partial(_find_wheel, wheel))]


def _find_copy(wheel: Wheel, sources: Sources) -> None:
    mirror = ImageReference.parse(wheel.mirror)
    registry = sources.registry(mirror.registry)
    registry.manifest(mirror.repository, mirror.digest)
    if not registry.has_blob(mirror.repository, f"sha256:{wheel.sha256}"):
        raise NotFound(f"{mirror.name} does not have the wheel")


def _find_wheel(wheel: Wheel) -> None:
    actual = wheel_index.sha256_of(wheel.wheel)
    if actual != wheel.sha256:
        raise NotFound(f"{wheel.wheel} has another content", why=f"its sha256 is {actual}")


def _packages(image: LockedImage, folder: Path) -> Iterator[CheckedInput]:
    """Yield the states of the requirements file and of the wheels that only another index has."""
    python = image.pins.python
    text = (folder / python.requirements).read_text()
    find = partial(index_packages.missing, text, python.wheels)
    yield from _listed(image, "requirements", python.requirements, find)
    if python.wheels:
        find = partial(index_packages.missing_wheels, python.index, python.wheels)
        yield from _listed(image, "wheels", f"{len(python.wheels)} wheels at {python.index}", find)


def _listed(
    image: LockedImage, key: str, name: str, find: Callable[[], dict[str, str]]
) -> Iterator[CheckedInput]:
    """Yield one row for all files of an index, or one for each that is gone."""
    key = f"{image.key}.python.{key}"
    try:
        gone = find()
    except Failed as error:
        yield CheckedInput(key, name, "unknown", _reason(error))
        return
    fix = f"invoke pin {image.pin_options} --version VERSION pins another vLLM with its packages"
    yield from (CheckedInput(key, file, "gone", why, fix) for file, why in gone.items())
    if not gone:
        yield CheckedInput(key, name, "present")
