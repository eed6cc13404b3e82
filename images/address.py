"""What a reference to an image names: a host, a repository, a tag or digest; where the host listens, who we are."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
from pathlib import Path

_DOCKER_HUB = "https://registry-1.docker.io"


def split(reference: str) -> tuple[str, str, str]:
    """`host/repository[:tag][@digest]` as host, repository and the digest, tag or `latest`."""
    name, _, digest = reference.partition("@")
    host, _, rest = name.partition("/")
    if not rest or not ("." in host or ":" in host or host == "localhost"):
        host, rest = "docker.io", name
    repository, _, tag = rest.partition(":")
    if host == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return host, repository, digest or tag or "latest"


def url_of(host: str) -> str:
    """Where a registry listens. Like the engine, plain HTTP for this machine's own addresses alone."""
    if host == "docker.io":
        return _DOCKER_HUB
    name = host.rsplit(":", 1)[0]
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = name == "localhost"
    return f"http://{host}" if loopback else f"https://{host}"


def login_of(host: str) -> str:
    """`user:password` in base64 from the docker client's configuration; empty where it has none."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        logins = json.loads((folder / "config.json").read_text()).get("auths", {})
    except (OSError, json.JSONDecodeError):
        return ""
    names = (host, "https://index.docker.io/v1/") if host == "docker.io" else (host, f"https://{host}")
    return next((logins[name]["auth"] for name in names if logins.get(name, {}).get("auth")), "")


def password_of(host: str) -> dict[str, str] | None:
    """The same login as the engine's API wants it."""
    user, _, password = base64.b64decode(login_of(host)).decode().partition(":")
    return {"username": user, "password": password} if user else None
