"""Ports, proxies and CA bundles: what stands between this host, the Hub and the server's clients."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from launch.doctor.facts import Certificates, Network
from launch.hardware import sysfs

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def look(port: int, environ: Mapping[str, str] = os.environ) -> Network:
    """What the environment says, and whether the port is free."""
    given = {name: environ.get(name) or environ.get(name.upper()) or "" for name in (*PROXIES, "no_proxy")}
    return Network(
        port=port,
        taken=taken(port),
        proxies=tuple((name, without_login(given[name])) for name in PROXIES if given[name]),
        no_proxy=given["no_proxy"],
        certificates=tuple(bundle(name, environ[name]) for name in BUNDLES if environ.get(name)),
    )


def taken(port: int) -> bool:
    """Whether somebody holds the port on this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def without_login(url: str) -> str:
    """A proxy's address without user and password; "?" where it is none."""
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        return f"{parts.scheme}://{parts.hostname}:{parts.port or 80}" if parts.hostname else "?"
    except ValueError:
        return "?"


def bundle(name: str, path: str) -> Certificates:
    """Whether a CA bundle can be used."""
    if not sysfs.exists(Path(path)):
        return Certificates(name, path, "there is no such file")
    if Path(path).is_dir():
        return Certificates(name, path)
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        return Certificates(name, path, f"cannot be read as certificates: {error}")
    return Certificates(name, path)
