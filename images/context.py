"""What a build sees: the platform's folder, uv, wheels that only this host has, the builder's settings.

The settings (index, proxy, CA bundle) travel as BuildKit secrets: they hold for the build and leave no trace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from images.lock import Platform

HERE = Path(__file__).parent
_CA_NAMES = ("SLIPWAY_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def assemble(folder: Path, name: str, platform: Platform, wheels: Iterator[Path]) -> None:
    """Fill `folder`: the platform's files, for an image of wheels also uv and the local ones."""
    shutil.copytree(HERE / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    if platform.python.requirements:
        _link(Path(sys.executable).with_name("uv"), folder / "uv")
        (folder / "wheels").mkdir(exist_ok=True)
        for wheel in wheels:
            _link(wheel, folder / "wheels" / wheel.name)


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


def uv_environment(settings: Mapping[str, str], index: str) -> dict[str, str]:
    """pip's settings in uv's names, with `index` added if it is not empty."""
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
    }


def ca_bundle(settings: Mapping[str, str]) -> Path | None:
    """The certificates that this host trusts, where it says so."""
    candidates = [os.environ.get(name, "") for name in _CA_NAMES] + [settings.get("cert", "")]
    return next((Path(place) for place in candidates if place and Path(place).is_file()), None)


def apt_settings() -> str:
    """Proxies and certificates of this host's apt, as lines of an apt.conf; empty where there is no apt."""
    try:
        text = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(wanted))


def shell_words(env: Mapping[str, str]) -> str:
    """The environment as a file that a shell can source."""
    import shlex

    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(env.items()))
