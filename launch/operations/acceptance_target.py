"""Describe the server of an acceptance test: one of this host's, or one at any address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from errors import Refused
from launch.acceptance.client import Target
from launch.acceptance.connect import base_url, connect, sampling_in
from launch.access.profiles import HUB
from launch.serving.api_key import key_of_container, read_key
from launch.weights.cache import ModelFolder

if TYPE_CHECKING:
    from docker.models.containers import Container

GENERATION_CONFIG = "generation_config.json"
LABELS = ("model", "plan", "image", "image_id", "vllm", "strategy")


def of_container(server: Container) -> tuple[Target, dict[str, Any]]:
    """Return the target of a Slipway server, and the facts for its report."""
    model, snapshot = server.labels["slipway.model"], _snapshot(server)
    sampling = sampling_in(snapshot / GENERATION_CONFIG) if snapshot else None
    url = base_url(server.labels["slipway.url"])
    target = connect(url, model, key_of_container(server), sampling)
    facts: dict[str, Any] = {"server": server.name, "url": url}
    facts |= {name: server.labels.get(f"slipway.{name}", "") for name in LABELS}
    return target, {**facts, "commit": snapshot.name if snapshot else ""}


def of_url(url: str, model: str = "", key_file: str = "") -> tuple[Target, dict[str, Any]]:
    """Return the target at an address, and the facts for its report."""
    parts = urlsplit(base_url(url))
    if parts.username or parts.password:
        raise Refused(
            "the URL contains a login", why="a report would show it", fix="invoke accept --key-file PATH"
        )
    target = connect(base_url(url), model, _key(key_file))
    return target, {"url": target.url, "model": target.model}


def _snapshot(server: Container) -> Path | None:
    """Return the folder of the weights on this host, if the server has mounted a cache."""
    mounts = server.attrs.get("Mounts") or []
    for mount in mounts:
        if mount.get("Destination") == HUB:
            folder = ModelFolder(Path(str(mount.get("Source"))), server.labels["slipway.model"])
            commit = server.labels.get("slipway.commit") or folder.commit("main")
            return folder.snapshot(commit) if commit else None
    return None


def _key(key_file: str) -> str:
    """Return the key in a file, which holds the key alone or VLLM_API_KEY=KEY, else OPENAI_API_KEY."""
    if not key_file:
        return os.environ.get("OPENAI_API_KEY", "")
    path = Path(key_file).expanduser()
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"cannot read '{path}'", why=getattr(error, "strerror", None) or "it is not text"
        ) from None
    key = read_key(path) or ("" if "=" in text else text)
    if not key or len(key.split()) != 1:
        raise Refused(
            f"'{path}' holds no API key",
            why="a key has no blanks; the file holds it alone or as VLLM_API_KEY=KEY",
        )
    return key
