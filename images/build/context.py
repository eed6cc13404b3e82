"""Fill the build context: the files of the platform and, for an image from wheels, uv and local wheels."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from images.lock.schema import LockedImage, Wheel

IMAGES = Path(__file__).parents[1]


def assemble(folder: Path, image: LockedImage, wheels: Iterable[Path], lock_folder: Path = IMAGES) -> None:
    """Fill `folder` for a build of the image.

    `lock_folder` is the folder of the lock file: the requirements file that the lock pins is below it.
    """
    ignore = shutil.ignore_patterns("__pycache__", "requirements.txt")
    shutil.copytree(IMAGES / image.platform, folder, dirs_exist_ok=True, ignore=ignore)
    if not image.pins.python.requirements:
        return
    shutil.copytree(IMAGES / "wheels", folder, dirs_exist_ok=True, ignore=ignore)
    _link(Path(sys.executable).with_name("uv"), folder / "uv")
    (folder / "wheels").mkdir(exist_ok=True)
    local = list(wheels)
    for wheel in local:
        _link(wheel, folder / "wheels" / wheel.name)
    names = {wheel.name for wheel in local}
    text = (lock_folder / image.pins.python.requirements).read_text()
    text += "".join(_requirement(wheel, wheel.file in names) for wheel in image.pins.single_wheels)
    _write(folder / "requirements.txt", text)


def _requirement(wheel: Wheel, is_local: bool) -> str:
    url = f"file:///run/wheels/{wheel.file}" if is_local else wheel.wheel
    return f"{wheel.package} @ {url} --hash=sha256:{wheel.sha256}\n"


def _write(path: Path, text: str) -> None:
    """Write only a changed file: BuildKit compares modification times, too."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy on another file system: uv and wheels can be 200 MB.

    Both keep the modification time, which BuildKit compares.
    """
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def own_files(platform: str) -> str:
    """Return a hash over Slipway's own files in the images of a platform. The lock has the hashes of packages."""
    digest = hashlib.sha256()
    for folder in (IMAGES / platform, IMAGES / "wheels"):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            if path.name != "requirements.txt" and not path.name.endswith("-requirements.txt"):
                digest.update(f"{path.relative_to(IMAGES)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def local_wheels(settings: Mapping[str, str], pinned: Iterable[str]) -> Iterator[Path]:
    """Yield pinned wheels that a find-links folder of this host has, by file name."""
    for place in dict.fromkeys(settings.get("find-links", "").split()):
        folder = Path(urlsplit(place).path if place.startswith("file:") else place)
        if folder.is_dir():
            yield from (folder / name for name in pinned if (folder / name).is_file())
