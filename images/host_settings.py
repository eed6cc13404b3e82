"""Settings of this host that a build needs: pip's index and proxy, apt's proxy, CA certificates."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from launch.http.connection import CA_BUNDLE_VARIABLES

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_LISTS = ("find-links", "extra-index-url")  # pip settings with several values, which add up


def pip_settings() -> dict[str, str]:
    """Return pip's settings from its files and PIP_* variables, as `pip config list` merges them."""
    argv = [sys.executable, "-P", "-m", "pip", "config", "list", "--disable-pip-version-check"]
    text = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    merged: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, raw = line.partition("=")
        name, value = key.rsplit(".", 1)[-1].strip(), raw.strip().strip("'").replace("\\n", " ")
        if equals:
            merged[name] = f"{merged[name]} {value}" if name in _LISTS and name in merged else value
    return merged


def find_links() -> tuple[str, ...]:
    """Return the folders and pages where this host's pip looks for wheels."""
    return tuple(pip_settings().get("find-links", "").split())


def uv_environment(settings: Mapping[str, str], index: str, proxy: str = "") -> dict[str, str]:
    """Return pip's settings as uv's environment variables; add `index` and `proxy` if given."""
    remote = [url for url in settings.get("extra-index-url", "").split() if not url.startswith("file:")]
    from_pip = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join([*remote, *([index] if index else [])]),
        "UV_INSECURE_HOST": settings.get("trusted-host", ""),
        "HTTPS_PROXY": settings.get("proxy", ""),
        "HTTP_PROXY": settings.get("proxy", ""),
        # The host's index and the public one may have the same package: the pinned hash decides, not the order.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    return {
        **{name: value for name, value in from_pip.items() if value},
        **{name: os.environ[name] for name in PROXY_VARIABLES if os.environ.get(name)},
        **({"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy} if proxy else {}),
    }


def ca_bundle(settings: Mapping[str, str]) -> Path | None:
    """Return the file of CA certificates that this host is configured to trust, if any."""
    candidates = [*(os.environ.get(name, "") for name in CA_BUNDLE_VARIABLES), settings.get("cert", "")]
    return next((Path(file) for file in candidates if file and Path(file).is_file()), None)


def apt_settings(proxy: str = "") -> str:
    """Return the proxies and certificates of this host's apt as lines of an apt.conf, and `proxy` if given."""
    override = f'Acquire::http::Proxy "{proxy}";\nAcquire::https::Proxy "{proxy}";\n' if proxy else ""
    try:
        text = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return override
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(wanted)) + override


def as_shell_file(environment: Mapping[str, str]) -> str:
    """Return the environment as a file that a shell can source."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()))
