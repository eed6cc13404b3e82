"""What a reference to an image names: a host, a repository, a tag or digest; where the host listens, who we are."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from errors import Refused
from launch.spec.image_reference import ImageReference

_DOCKER_HUB = "https://registry-1.docker.io"
# As the distribution specification has it; 255 characters with the host are what engines take.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::\d+)?")


def place(flag: str, given: str) -> tuple[str, str]:
    """`REGISTRY[/repository]` of a flag as host and repository. Raises Refused where it names none."""
    host, _, repository = given.strip("/").partition("/")
    if not ("." in host or ":" in host or host == "localhost") or not _is_host(host):
        raise Refused(f"{flag} {given}: that names no registry", fix=f"{flag} registry.example/slipway/vllm")
    if repository and (not _REPOSITORY.fullmatch(repository) or len(f"{host}/{repository}") > 255):
        raise Refused(
            f"{flag} {given}: '{repository[:80]}' is no repository's name",
            why="small letters and digits, . _ - between them, / between parts; no tag, no digest",
        )
    return host, repository


def _is_host(host: str) -> bool:
    try:
        return bool(_HOST.fullmatch(host)) and urlsplit(f"//{host}").port != 0
    except ValueError:  # no port has such a number
        return False


def repository(flag: str, given: str) -> str:
    """A repository as people write it, Docker Hub's without a host too. Raises Refused where it names a tag."""
    image = ImageReference.parse(given)
    host, name = image.registry, image.repository
    if "@" in given or ":" in given.rpartition("/")[2]:
        raise Refused(f"{flag} {given}: a tag or digest stands in it", fix=f"{flag} {host}/{name}")
    if place(flag, f"{host}/{name}") != (host, name):  # it ends in a slash, or is nothing at all
        raise Refused(f"{flag} {given}: that is no repository", fix=f"{flag} docker.io/vllm/vllm-openai")
    return given


def web(flag: str, given: str) -> str:
    """An http(s) address of a flag without a slash at its end. Raises Refused where it is none."""
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", given):
        raise Refused(f"{flag} {given}: that is no web address", fix="http://HOST[:PORT] or https://...")
    return given.rstrip("/")


def url_of(host: str) -> str:
    """Where a registry listens. Like the engine, plain HTTP for this machine's own addresses alone."""
    if host == "docker.io":
        return _DOCKER_HUB
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = name == "localhost"
    return f"http://{host}" if loopback else f"https://{host}"


def login_of(host: str) -> str:
    """`user:password` in base64 from the docker client's configuration; empty where it has none.

    Raises Refused where that file is not what `docker login` writes.
    """
    path = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
    names = (host, "https://index.docker.io/v1/") if host == "docker.io" else (host, f"https://{host}")
    try:
        logins = json.loads(path.read_text()).get("auths") or {}
        auth = next((logins[name]["auth"] for name in names if logins.get(name, {}).get("auth")), "")
        if auth and b":" not in base64.b64decode(auth, validate=True):
            raise ValueError("no user:password")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, TypeError) as error:
        fix = f"docker logout {host}; docker login {host}"
        raise Refused(f"{path} holds no logins as docker writes them", why=str(error), fix=fix) from None
    return str(auth)


def password_of(host: str) -> dict[str, str] | None:
    """The same login as the engine's API wants it."""
    user, _, password = base64.b64decode(login_of(host)).decode().partition(":")
    return {"username": user, "password": password} if user else None
