"""Asking the Hub who we are, and looking at token and cache on disk. A token is never kept in a fact."""

from __future__ import annotations

import json
import os
import pwd
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from launch.doctor.facts import Hub
from launch.doctor.probes.engine import free
from launch.hardware import sysfs
from launch.http.connection import tls_context
from launch.weights.cache import MODEL, ModelFolder, cache_folder, hf_home

_MOST_ENTRIES = 2000  # of a cache that are looked at


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The Hub to ask, as huggingface_hub chooses it."""
    return (environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def token_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `hf auth login` keeps the token."""
    return Path(environ.get("HF_TOKEN_PATH") or hf_home(environ) / "token").expanduser()


def token(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The token and where it came from; two empty strings for nobody."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if environ.get(name, "").strip():
            return environ[name].strip(), name
    try:
        given = token_file(environ).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return "", ""
    return (given, str(token_file(environ))) if given else ("", "")


def on_disk(model: str = "", environ: Mapping[str, str] = os.environ) -> Hub:
    """What can be said without a network."""
    cache = cache_folder(environ).absolute()
    here, nearest = sysfs.is_here(cache), _nearest(cache)
    secret, source = token(environ)
    return Hub(
        endpoint=endpoint(environ),
        token_from=source,
        token_mode=_mode(Path(source)) if source.startswith("/") else None,
        token_broken=not (secret.isascii() and secret.isprintable() and " " not in secret),
        cache=str(cache),
        cache_here=here,
        cache_writable=os.access(nearest, os.W_OK),
        cache_owner=_owner(nearest),
        cache_file=str(nearest) if nearest.is_file() else "",
        cache_free=free(str(cache)),
        strangers=_strangers(cache) if here else 0,
        needed=needed(model, cache) if model else None,
        model=model,
    )


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if sysfs.is_here(place))


def _owner(folder: Path) -> str:
    try:
        return pwd.getpwuid(uid := folder.stat().st_uid).pw_name
    except KeyError:
        return str(uid)
    except OSError:
        return ""


def _strangers(cache: Path) -> int:
    """Entries of the cache that belong to somebody else: what a container of root's leaves behind."""
    me, count, looked = os.geteuid(), 0, 0
    models = list(sysfs.entries(cache))
    for entry in (*models, *(below for model in models for below in sysfs.entries(model))):
        looked += 1
        try:
            count += entry.lstat().st_uid != me
        except OSError:
            continue
        if looked >= _MOST_ENTRIES:
            break
    return count


def needed(model: str, cache: Path) -> int | None:
    """Bytes of weights that are not here yet; None where the model's size is not known."""
    from launch.planning import memory
    from launch.recipes.repository import known_shapes
    from launch.spec.plan import Layout

    shape = known_shapes().get(model)
    gib = memory.weights_gib(shape, Layout()) if shape else None
    if gib is None or not MODEL.fullmatch(model) or "--" in model:
        return None
    blobs = ModelFolder(cache, model).blobs
    there = sum(entry.stat().st_size for entry in sysfs.entries(blobs))
    return max(0, int(gib * 2**30) - there)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status 0 is none, with the reason."""

    status: int = 0
    body: Any = None
    date: str = ""
    code: str = ""
    reason: str = ""


def online(hub: Hub, timeout: float, environ: Mapping[str, str] = os.environ) -> Hub:
    """The same facts with what the Hub says of the token, the model and the time."""
    secret = (
        "" if hub.token_broken else token(environ)[0]
    )  # no header can carry it: the rest is asked without
    who = _get(
        f"{hub.endpoint}/api/whoami-v2" if secret else f"{hub.endpoint}/api/models?limit=1", secret, timeout
    )
    if not who.status:
        return replace(hub, error=who.reason)
    model = _get(f"{hub.endpoint}/api/models/{quote(hub.model)}", secret, timeout) if hub.model else Answer()
    gated = isinstance(model.body, dict) and bool(model.body.get("gated"))
    access = (
        _get(f"{hub.endpoint}/api/models/{quote(hub.model)}/auth-check", secret, timeout) if gated else None
    )
    name = who.body.get("name", "") if secret and isinstance(who.body, dict) else ""
    refused = bool(secret) and who.status in (401, 403)
    return replace(
        hub,
        reached=True,
        user=str(name),
        refused=refused,
        licence="" if refused else licence(model, access),  # with a bad token every model is unknown
        skew=_skew(who.date),
    )


def licence(model: Answer, access: Answer | None) -> str:
    """Whether this user may download the model: open, accepted, missing, unknown model, or "" (not known).

    What the Hub tells about a gated model it tells everybody; its auth-check says whether this user may have it.
    """
    if model.status == 404 or model.code == "RepoNotFound":  # the Hub answers nobody's question with 401
        return "unknown model"
    if model.status in (401, 403) or model.code == "GatedRepo":
        return "missing"
    if model.status != 200 or not isinstance(model.body, dict):
        return ""
    if access is None:
        return "open"
    return {200: "accepted", 401: "missing", 403: "missing"}.get(access.status, "")


def _get(url: str, secret: str, timeout: float) -> Answer:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=timeout, context=tls_context()) as response:
            return Answer(response.status, _json(response.read(1 << 20)), response.headers.get("Date", ""))
    except urllib.error.HTTPError as error:
        code = error.headers.get("X-Error-Code", "")
        return Answer(error.code, date=error.headers.get("Date", ""), code=code)
    except Exception as error:  # proxies, TLS, names: every way not to get there is one finding
        return Answer(reason=str(getattr(error, "reason", "") or error)[:200])


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
