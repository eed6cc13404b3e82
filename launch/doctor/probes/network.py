"""Read the port, the proxies and the CA bundles."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from launch.doctor.facts import Certificates, Network
from launch.hardware import sysfs
from launch.http.connection import CA_BUNDLE_VARIABLES

PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def probe(port: int, environ: Mapping[str, str] = os.environ) -> Network:
    """Read the environment, and check whether the port is free."""
    values = {name: environ.get(name) or environ.get(name.upper()) or "" for name in (*PROXIES, "no_proxy")}
    bundles = (name for name in CA_BUNDLE_VARIABLES if environ.get(name))
    return Network(
        port=port,
        port_in_use=is_port_in_use(port),
        proxies=tuple((name, without_login(values[name])) for name in PROXIES if values[name]),
        no_proxy=values["no_proxy"],
        certificates=tuple(check_bundle(name, environ[name]) for name in bundles),
    )


def is_port_in_use(port: int) -> bool:
    """Whether another program listens on the port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def without_login(url: str) -> str:
    """Return a proxy's address without user and password; "?" if it is not a valid address."""
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        return f"{parts.scheme}://{parts.hostname}:{parts.port or 80}" if parts.hostname else "?"
    except ValueError:
        return "?"


def check_bundle(name: str, path: str) -> Certificates:
    """Check whether a CA bundle is usable."""
    if not sysfs.exists(Path(path)):
        return Certificates(name, path, "the file does not exist")
    if Path(path).is_dir():
        return Certificates(name, path)
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        return Certificates(name, path, f"it does not contain certificates: {error}")
    return Certificates(name, path)
