"""Find out what a server serves before its acceptance test. An address that cannot be tested is refused here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Failed, Refused, choice
from launch.acceptance.client import Target
from launch.checked_data import data_file
from launch.http.client import NoResponse, request
from launch.http.url import is_http_url, printable, public

ANSWER_WITHIN = 20.0  # seconds for the list of models
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class Default:
    """The sampling defaults of a public checkpoint, as its generation_config.json has them."""

    values: dict[str, float]
    source: str


def base_url(given: str) -> str:
    """Return an address without its last slash and without /v1. Raises Refused."""
    if not is_http_url(given):
        raise Refused(
            f"'{printable(given)}' is not an http(s) URL", fix="invoke accept --url http://127.0.0.1:8000"
        )
    return given.rstrip("/").removesuffix("/v1")


def connect(url: str, model: str = "", key: str = "", sampling: Mapping[str, float] | None = None) -> Target:
    """Return the target at an address; `model` must be one that it serves. Raises Failed or Refused."""
    listed = _models(url, key)
    name = model or next(iter(listed), "")
    if name not in listed:
        raise _other_model(url, name, tuple(listed))
    length = listed[name].get("max_model_len")
    known = sampling_of(name) if sampling is None else sampling
    return Target(url, name, key, length if isinstance(length, int) else 0, known)


def sampling_of(model: str) -> dict[str, float]:
    """Return the sampling defaults of a known public checkpoint, {} for others."""
    table = data_file.load(Path(__file__).with_name("sampling.yaml"), dict[str, Default])
    return table[model].values if model in table else {}


def sampling_in(generation_config: Path) -> dict[str, float]:
    """Return the sampling defaults of a checkpoint on this host; {} if it has none."""
    try:
        data = json.loads(generation_config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: data[name] for name in SAMPLING if isinstance(data.get(name), int | float)}


def _other_model(url: str, name: str, listed: tuple[str, ...]) -> Refused:
    if not listed:
        return Refused(f"{public(url)} serves no model", fix="invoke ps")
    refused = choice(f"model at {public(url)}:", name, listed)
    return Refused(
        refused.what, why=f"it serves {', '.join(listed)}", fix=f"invoke accept --model {listed[0]}"
    )


def _models(url: str, key: str) -> dict[str, dict[str, Any]]:
    """Return the entries of /v1/models by name."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = request("GET", f"{url}/v1/models", headers=headers, timeout=ANSWER_WITHIN, direct=True)
        status, body = response.status, response.read()
    except NoResponse as error:
        raise Failed(f"{public(url)} does not answer", why=error.why or error.what, fix="invoke ps") from None
    if status in (401, 403):
        what = "rejects the API key" if key else "requires an API key"
        raise Refused(f"{public(url)} {what} (HTTP {status})", fix="invoke accept --key-file PATH")
    try:
        entries = json.loads(body)["data"] if status == 200 else None
        return {str(entry["id"]): entry for entry in entries or _raise()}
    except (ValueError, LookupError, TypeError, AttributeError):
        why = f"GET /v1/models: HTTP {status}, without a list of models"
        fix = "invoke accept --url http://HOST:PORT, the address of an OpenAI-compatible server"
        raise Refused(f"{public(url)} has no OpenAI API", why=why, fix=fix) from None


def _raise() -> list[dict[str, Any]]:
    raise ValueError("no list of models")
