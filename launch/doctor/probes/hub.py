"""Read the Hub token and the cache from disk, and ask the Hub about both. No fact contains the token."""

from __future__ import annotations

import json
import os
import pwd
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from errors import Failed
from launch.doctor.facts import HubFacts
from launch.doctor.probes.engine import free_bytes
from launch.hardware import sysfs
from launch.http.client import NoResponse, request
from launch.weights.cache import MODEL, ModelFolder, cache_folder, hf_home

_MAX_ENTRIES = 2000  # entries of a cache that are examined
_MAX_BODY = 1 << 20  # bytes


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """Return the Hub that huggingface_hub uses."""
    return (environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def token_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file in which `hf auth login` stores the token."""
    return Path(environ.get("HF_TOKEN_PATH") or hf_home(environ) / "token").expanduser()


def token(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return the token and its source; two empty strings if there is none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if environ.get(name, "").strip():
            return environ[name].strip(), name
    try:
        stored = token_file(environ).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return "", ""
    return (stored, str(token_file(environ))) if stored else ("", "")


def read_disk(model: str = "", environ: Mapping[str, str] = os.environ) -> HubFacts:
    """Return the facts that need no network."""
    cache = cache_folder(environ).absolute()
    present, nearest = sysfs.exists(cache), _nearest_existing(cache)
    secret, source = token(environ)
    return HubFacts(
        endpoint=endpoint(environ),
        token_source=source,
        token_mode=_mode(Path(source)) if source.startswith("/") else None,
        token_malformed=not (secret.isascii() and secret.isprintable() and " " not in secret),
        cache=str(cache),
        cache_present=present,
        cache_writable=os.access(nearest, os.W_OK),
        cache_owner=_owner(nearest),
        cache_file=str(nearest) if nearest.is_file() else "",
        cache_free=free_bytes(str(cache)),
        foreign_entries=_count_foreign_entries(cache) if present else 0,
        to_fetch=bytes_to_fetch(model, cache) if model else None,
        model=model,
    )


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if sysfs.exists(path))


def _owner(folder: Path) -> str:
    try:
        return pwd.getpwuid(uid := folder.stat().st_uid).pw_name
    except KeyError:
        return str(uid)
    except OSError:
        return ""


def _count_foreign_entries(cache: Path) -> int:
    """Count the entries of another user, as a container that runs as root leaves them."""
    uid, count, examined = os.geteuid(), 0, 0
    models = list(sysfs.entries(cache))
    for entry in (*models, *(below for model in models for below in sysfs.entries(model))):
        examined += 1
        try:
            count += entry.lstat().st_uid != uid
        except OSError:
            continue
        if examined >= _MAX_ENTRIES:
            break
    return count


def bytes_to_fetch(model: str, cache: Path) -> int | None:
    """Return the bytes of weights that are not in the cache; None if the size of the model is unknown."""
    from launch.planning.weight_size import weights_gib
    from launch.recipes.repository import builtin_shapes
    from launch.spec.plan import Layout

    shape = builtin_shapes().get(model)
    gib = weights_gib(shape, Layout()) if shape else None
    if gib is None or not MODEL.fullmatch(model) or "--" in model:
        return None
    blobs = ModelFolder(cache, model).blobs
    present = sum(entry.stat().st_size for entry in sysfs.entries(blobs))
    return max(0, int(gib * 2**30) - present)


@dataclass(frozen=True)
class HubAnswer:
    """An HTTP response; status 0 means no response, for the given reason."""

    status: int = 0
    body: Any = None
    date: str = ""
    code: str = ""
    reason: str = ""


def query(hub: HubFacts, timeout: float, environ: Mapping[str, str] = os.environ) -> HubFacts:
    """Return the facts with the Hub's answers about the token, the model and the time."""
    # A malformed token cannot be sent in a header: the requests are sent without it.
    secret = "" if hub.token_malformed else token(environ)[0]
    path = "/api/whoami-v2" if secret else "/api/models?limit=1"
    account = _get(hub.endpoint + path, secret, timeout)
    if not account.status:
        return replace(hub, error=account.reason)
    name = account.body.get("name", "") if secret and isinstance(account.body, dict) else ""
    rejected = bool(secret) and account.status in (401, 403)
    # With a rejected token, every model is unknown.
    return replace(
        hub,
        reached=True,
        user=str(name),
        token_rejected=rejected,
        licence="" if rejected or not hub.model else _query_licence(hub, secret, timeout),
        clock_skew=_skew(account.date),
    )


def _query_licence(hub: HubFacts, secret: str, timeout: float) -> str:
    url = f"{hub.endpoint}/api/models/{quote(hub.model)}"
    model = _get(url, secret, timeout)
    gated = isinstance(model.body, dict) and bool(model.body.get("gated"))
    return licence(model, _get(f"{url}/auth-check", secret, timeout) if gated else None)


def licence(model: HubAnswer, access: HubAnswer | None) -> str:
    """Return whether this user can download the model: open, accepted, missing, unknown model, or "" (unknown).

    The Hub shows the properties of a gated model to every user; its auth-check tells who has access.
    """
    if model.status == 404 or model.code == "RepoNotFound":  # without a token, with status 401
        return "unknown model"
    if model.status in (401, 403) or model.code == "GatedRepo":
        return "missing"
    if model.status != 200 or not isinstance(model.body, dict):
        return ""
    if access is None:
        return "open"
    return {200: "accepted", 401: "missing", 403: "missing"}.get(access.status, "")


def _get(url: str, secret: str, timeout: float) -> HubAnswer:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    try:
        response = request("GET", url, headers=headers, timeout=timeout)
        body = response.read(_MAX_BODY)
    except Failed as error:  # a name, a proxy, TLS: whatever fails is one finding
        reason = error.what if isinstance(error, NoResponse) else f"{error.what} {error.why}"
        return HubAnswer(reason=reason[:200])
    date, code = response.headers.get("date", ""), response.headers.get("x-error-code", "")
    return HubAnswer(response.status, _json(body) if response.status == 200 else None, date, code)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _skew(date: str) -> float | None:
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return None
