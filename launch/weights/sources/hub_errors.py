"""What huggingface_hub raises, read once: something to try again, or a refusal that says what to do."""

from __future__ import annotations

from typing import Any

from errors import Failed, Refused, SlipwayError
from launch.http.retry import Transient, asked_wait
from launch.http.url import printable
from launch.weights.sources.source import refusal, rejected


def read_error(error: Exception, model: str) -> Transient:
    """What huggingface_hub raised, as something to try again. Raises Failed or Refused where it is none."""
    from huggingface_hub import errors

    if isinstance(error, Transient):
        return error
    if isinstance(error, SlipwayError):
        raise error
    if isinstance(error, errors.HFValidationError):
        raise Refused(
            f"'{model}' is not a model", why=str(error), fix="write it as organisation/name"
        ) from error
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status, headers = error.response.status_code, error.response.headers
        if status in (408, 425, 429) or status >= 500:
            return Transient(f"it answered {status}", asked_wait(headers))
        if "Invalid credentials" in (headers.get("X-Error-Message") or ""):
            raise rejected(model) from error
        raise refusal(model, status, _code(error), "") from error
    if isinstance(error, errors.LocalTokenNotFoundError | errors.OfflineModeIsEnabled):
        raise Failed(f"{model}: {error}", fix="invoke login; unset HF_HUB_OFFLINE") from error
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        raise Failed(
            "the Hub's certificate is not trusted",
            why=printable(str(error)),
            fix="check HF_ENDPOINT; if your network has a CA of its own, set SSL_CERT_FILE to its bundle",
        ) from error
    return Transient(_plain(error))


def _code(error: Any) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):  # a RepositoryNotFoundError too, so it comes first
        return "GatedRepo"
    if isinstance(error, errors.DisabledRepoError):
        return "DisabledRepo"
    return error.response.headers.get("X-Error-Code") or (
        "RepoNotFound" if isinstance(error, errors.RepositoryNotFoundError) else ""
    )


def _plain(error: Exception) -> str:
    if isinstance(error, ValueError | KeyError | TypeError | AttributeError):
        return "it answered with something that is not the Hub's JSON (a login page, or a proxy's?)"
    if isinstance(error, RecursionError | OverflowError):
        return "it answered with JSON that no Hub sends"
    return f"{type(error).__name__}: {printable(str(error).partition(chr(10))[0]) or 'no answer'}"
