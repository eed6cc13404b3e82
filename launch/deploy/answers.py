"""What an API server answers, as one clear message: who refused the request, why, and what to do next. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from errors import Failed, Refused, SlipwayError
from launch.spec.control_characters import one_line

LONGEST = 400  # characters of a message of the server
WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class NotFound(Failed):
    """The cluster has no such object, or does not know its kind."""


class Forbidden(Failed):
    """This user may not do that."""


class Conflict(Failed):
    """Another field manager owns a field that the plan sets."""


def warning_text(header: str) -> list[str]:
    """Return the texts of a Warning header."""
    return [one_line(re.sub(r"\\(.)", r"\1", text)) for text in WARNING.findall(header)]


def error_of(status: int, body: bytes | str, host: str, namespace: str) -> SlipwayError:
    """Return the error for an answer with this status."""
    message = _message(body)
    if status == 404:
        return NotFound(f"not found in namespace '{namespace}'", why=message)
    if status == 409 and "conflict" in message.lower():
        return Conflict(
            "another program manages a field that the plan sets", why=message, fix="--force takes it over"
        )
    if status == 422:
        fix = "invoke deploy --dry-run shows the object"
        return Refused("the cluster refuses the object", why=message, fix=fix)
    if status == 400:
        return Refused("the cluster refuses the request", why=message, fix="correct what the message names")
    if status in (401, 403):
        return _no_access(status, message, host, namespace)
    why = f"status {status}{f': {message}' if message else ''}"
    return Failed(
        f"the cluster at {host} failed", why=why, fix="repeat the command; it continues where it stopped"
    )


def _no_access(status: int, message: str, host: str, namespace: str) -> Failed:
    if status == 401:
        why = f"the token or certificate of the kubeconfig has expired or is unknown ({message})"
        return Failed(
            f"the cluster at {host} does not accept the login", why=why, fix="log in to the cluster again"
        )
    if "exceeded quota" in message:
        fix = f"kubectl --namespace {namespace} describe resourcequota"
        return Failed(f"the quota of namespace '{namespace}' is too small", why=message, fix=fix)
    fix = f"ask for these rights in namespace '{namespace}', or use another --namespace"
    return Forbidden("the cluster forbids the request", why=message, fix=fix)


def _message(body: bytes | str) -> str:
    """Return the message of a Status object, else the text itself."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    try:
        found = json.loads(text)
        message = _message_of(found) if isinstance(found, dict) else text
    except ValueError:
        message = text
    return one_line(message)[:LONGEST]


def _message_of(body: dict[str, Any]) -> str:
    """Return the message of a Status object, or of an error of vLLM that the API server passed on."""
    error = body.get("error")
    return str(body.get("message") or (error.get("message", "") if isinstance(error, dict) else ""))
