"""What a build sees: the platform's folder, uv, wheels that only this host has, the builder's settings.

The settings (index, proxy, CA bundle) travel as BuildKit secrets: they hold for the build and leave no trace.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from images.lock.lockfile import Platform, Wheel, family
from launch.http.connection import CA_BUNDLE_VARIABLES

HERE = Path(__file__).parents[1]
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def assemble(
    folder: Path, name: str, platform: Platform, wheels: Iterable[Path], beside: Path = HERE
) -> None:
    """Fill `folder`: the platform's files; for an image of wheels also uv, the installer, local wheels.

    `beside` is the folder of the lock: the requirements file that it pins by hash lies there.
    """
    left = shutil.ignore_patterns("__pycache__", "requirements.txt")
    shutil.copytree(HERE / family(name), folder, dirs_exist_ok=True, ignore=left)
    if not platform.python.requirements:
        return
    shutil.copytree(HERE / "wheels", folder, dirs_exist_ok=True, ignore=left)
    _link(Path(sys.executable).with_name("uv"), folder / "uv")
    (folder / "wheels").mkdir(exist_ok=True)
    known = list(wheels)
    for wheel in known:
        _link(wheel, folder / "wheels" / wheel.name)
    here = {wheel.name for wheel in known}
    text = (beside / platform.python.requirements).read_text()
    text += "".join(_line(wheel, wheel.file in here) for wheel in platform.single_wheels)
    _write(folder / "requirements.txt", text)


def _line(wheel: Wheel, here: bool) -> str:
    place = f"file:///run/wheels/{wheel.file}" if here else wheel.wheel
    return f"{wheel.package} @ {place} --hash=sha256:{wheel.sha256}\n"


def _write(path: Path, text: str) -> None:
    """Only where it differs: BuildKit compares times too."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def own_files(name: str) -> str:
    """A hash over our own files in a platform's image; the lock has those of its packages."""
    digest = hashlib.sha256()
    for folder in (HERE / family(name), HERE / "wheels"):
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            if path.name != "requirements.txt" and not path.name.endswith("-requirements.txt"):
                digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    """A hard link where it can be (the file is 200 MB), else a copy; both keep the time BuildKit compares."""
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def pip_settings() -> dict[str, str]:
    """The builder's pip configuration: files and PIP_* environment, as `pip config list` merges them."""
    argv = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    text = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    merged: dict[str, str] = {}
    for key, value in pairs:
        name = key.rsplit(".", 1)[-1].strip()
        known = value.strip().strip("'").replace("\\n", " ")
        merged[name] = (
            f"{merged[name]} {known}"
            if name in ("find-links", "extra-index-url") and name in merged
            else known
        )
    return merged


def local_wheels(settings: Mapping[str, str], named: Mapping[str, str]) -> Iterator[Path]:
    """Files that the lock names by hash and that lie in a find-links folder of this host."""
    for place in dict.fromkeys(settings.get("find-links", "").split()):
        folder = Path(urlsplit(place).path if place.startswith("file:") else place)
        if folder.is_dir():
            yield from (folder / name for name in named if (folder / name).is_file())


def uv_environment(settings: Mapping[str, str], index: str, proxy: str = "") -> dict[str, str]:
    """pip's settings in uv's names, with `index` and `proxy` added where they are given."""
    remote = [url for url in settings.get("extra-index-url", "").split() if not url.startswith("file:")]
    names = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join([*remote, *([index] if index else [])]),
        "UV_INSECURE_HOST": settings.get("trusted-host", ""),
        "HTTPS_PROXY": settings.get("proxy", ""),
        "HTTP_PROXY": settings.get("proxy", ""),
        # An index of the builder's and the public one may both know a package: hashes decide, not the order.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    return {
        **{k: v for k, v in names.items() if v},
        **{k: os.environ[k] for k in _PROXIES if os.environ.get(k)},
        **({"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy} if proxy else {}),
    }


def ca_bundle(settings: Mapping[str, str]) -> Path | None:
    """The certificates that this host trusts, where it says so."""
    candidates = [os.environ.get(name, "") for name in CA_BUNDLE_VARIABLES] + [settings.get("cert", "")]
    return next((Path(place) for place in candidates if place and Path(place).is_file()), None)


def apt_settings(proxy: str = "") -> str:
    """Proxies and certificates of this host's apt, as lines of an apt.conf; empty where there is no apt."""
    own = f'Acquire::http::Proxy "{proxy}";\nAcquire::https::Proxy "{proxy}";\n' if proxy else ""
    try:
        text = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return own
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(wanted)) + own


def shell_words(env: Mapping[str, str]) -> str:
    """The environment as a file that a shell can source."""
    import shlex

    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(env.items()))
