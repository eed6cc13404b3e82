"""Registry names, repositories and URLs of options, and the stored login of a registry."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from errors import Refused
from launch.http.url import is_http_url
from launch.spec.image_reference import ImageReference, is_registry

_DOCKER_HUB = "https://registry-1.docker.io"
# As in the distribution specification; engines accept 255 characters, including the host.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::\d+)?")


def parse_target(flag: str, text: str) -> tuple[str, str]:
    """Split an option's `REGISTRY[/REPOSITORY]` into host and repository. Raises Refused."""
    host, _, repository = text.strip("/").partition("/")
    if not is_registry(host) or not _is_host(host):
        raise Refused(
            f"{flag} '{text}' does not name a registry", fix=f"{flag} registry.example/slipway/vllm"
        )
    if repository and (not _REPOSITORY.fullmatch(repository) or len(f"{host}/{repository}") > 255):
        raise Refused(
            f"{flag} '{text[:120]}': '{repository[:80]}' is not a valid repository name",
            why="use lower case letters, digits, `.`, `_`, `-` and `/`; no tag and no digest",
            fix=f"{flag} {host}/slipway/vllm",
        )
    return host, repository


def _is_host(host: str) -> bool:
    try:
        return bool(_HOST.fullmatch(host)) and urlsplit(f"//{host}").port != 0
    except ValueError:  # a port above 65535
        return False


def parse_repository(flag: str, text: str) -> str:
    """Return an option's repository, for Docker Hub also without a host. Raises Refused if it has a tag or digest."""
    image = ImageReference.parse(text)
    if image.tag or image.digest or "@" in text or text.endswith(":"):
        raise Refused(f"{flag} '{text}' must not have a tag or digest", fix=f"{flag} {image.name}")
    host_and_repository = (image.registry, image.repository)
    if parse_target(flag, image.name) != host_and_repository:  # it is empty, or ends with a slash
        raise Refused(f"{flag} '{text}' is not a repository", fix=f"{flag} docker.io/vllm/vllm-openai")
    return text


def parse_url(flag: str, text: str) -> str:
    """Return an option's http(s) URL without a slash at its end. Raises Refused."""
    if not is_http_url(text) or urlsplit(text).port == 0:
        raise Refused(f"{flag} '{text}' is not an http(s) URL", fix=f"{flag} https://HOST[:PORT]")
    return text.rstrip("/")


def url_of(host: str) -> str:
    """Return a registry's URL: as in the engine, plain HTTP for loopback addresses only."""
    if host == "docker.io":
        return _DOCKER_HUB
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = name == "localhost"
    return f"http://{host}" if loopback else f"https://{host}"


def stored_login(host: str) -> str:
    """Return the base64 of user:password from the docker client's configuration, or an empty string. Raises Refused."""
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    names = (host, "https://index.docker.io/v1/") if host == "docker.io" else (host, f"https://{host}")
    try:
        logins = json.loads(path.read_text()).get("auths") or {}
        login = next((logins[name]["auth"] for name in names if logins.get(name, {}).get("auth")), "")
        if login and b":" not in base64.b64decode(login, validate=True):
            raise ValueError("no user:password")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, TypeError) as error:
        fix = f"docker logout {host}; docker login {host}"
        raise Refused(f"'{path}' has no valid docker logins", why=str(error), fix=fix) from None
    return str(login)


def engine_login(host: str) -> dict[str, str] | None:
    """Return the stored login as the engine's API takes it, or None."""
    user, _, password = base64.b64decode(stored_login(host)).decode().partition(":")
    return {"username": user, "password": password} if user else None
