"""Explain why a Hub refuses a request, and tell refusals from errors that may pass."""

from __future__ import annotations

from typing import Any

from errors import Failed, Refused, SlipwayError
from launch.http.client import NoResponse, NotFound
from launch.http.retry import SILENT, TransientError, retry_after
from launch.http.url import printable

NO_API = (404, 405, 501)


def transient(error: Exception, model: str) -> TransientError:
    """Return an exception of huggingface_hub as an error that may pass. Raises Failed or Refused for others."""
    from huggingface_hub import errors

    if isinstance(error, TransientError):
        return error
    if isinstance(error, NoResponse):
        silent = isinstance(error.__context__, TimeoutError)
        text = f"{error.what}: {error.why}" if error.why else error.what
        return TransientError(text, attempts=SILENT if silent else None)
    if isinstance(error, SlipwayError):
        raise error
    if isinstance(error, errors.HFValidationError):
        raise Refused(
            f"'{model}' is not a model name", why=str(error), fix="write it as organisation/name"
        ) from error
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status, headers = error.response.status_code, error.response.headers
        if status in (408, 425, 429) or (status >= 500 and status != 501):
            return TransientError(f"it answered {status}", retry_after(headers))
        if "Invalid credentials" in (headers.get("X-Error-Message") or ""):
            raise token_rejected(model) from error
        raise refusal(model, status, _code(error), "") from error
    if isinstance(error, errors.LocalTokenNotFoundError | errors.OfflineModeIsEnabled):
        raise Failed(f"{model}: {error}", fix="invoke login; unset HF_HUB_OFFLINE") from error
    return TransientError(_reason(error))


def require_listing(error: Exception, model: str, where: str) -> None:
    """Raise Failed if a server that has the model does not have the API that lists its files."""
    from huggingface_hub import errors

    if not isinstance(error, errors.HfHubHTTPError) or error.response is None:
        return
    status = error.response.status_code
    if status in NO_API and not error.response.headers.get("X-Error-Code"):
        raise Failed(
            f"{where} does not list the files of {model}",
            why=f"it answered {status} to /api/models/{model}/tree, so it has no tree API",
            fix="use a mirror that has the tree API (HF_ENDPOINT); without it no hash is known to verify files with",
        ) from error


def _code(error: Any) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):  # also a RepositoryNotFoundError, so it comes first
        return "GatedRepo"
    if isinstance(error, errors.DisabledRepoError):
        return "DisabledRepo"
    return error.response.headers.get("X-Error-Code") or (
        "RepoNotFound" if isinstance(error, errors.RepositoryNotFoundError) else ""
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError | KeyError | TypeError | AttributeError):
        return "its response is not the Hub's JSON (a login page, or a proxy's?)"
    if isinstance(error, RecursionError | OverflowError):
        return "its response has JSON that no Hub sends"
    return f"{type(error).__name__}: {printable(str(error).partition(chr(10))[0]) or 'no response'}"


def token_rejected(what: str) -> Failed:
    """Return the error for a token that the Hub does not accept, or no longer accepts."""
    return Failed(
        f"{what}: the Hub does not accept the token",
        why="it answered 401: the token is wrong, expired or revoked",
        fix="invoke login, or set HF_TOKEN, then run the same command again; finished parts are kept",
    )


def refusal(model: str, status: int, code: str, path: str = "") -> Failed:
    """Return the error for a Hub's refusal, with what to do about it."""
    what, code = f"{model}{': ' + path if path else ''}", printable(code)[:40]
    why = f"the Hub answered {status} {code}".strip()
    if code == "GatedRepo":
        return Failed(
            f"{what} is gated: this account has no access",
            why=why,
            fix=f"accept the license on the model's page (/{model}), then invoke login and fetch again",
        )
    if status == 401 or code == "RepoNotFound":
        fix = "check the name; for a private model invoke login"
        error = Failed if status == 401 else NotFound
        return error(f"{what} does not exist, or it is private", why=why, fix=fix)
    if code in ("RevisionNotFound", "EntryNotFound") or status == 404:
        of_model = not path and code != "RevisionNotFound"  # other servers answer so, too
        fix = "check the name, --revision and HF_ENDPOINT" if of_model else "check --revision"
        return NotFound(f"{what} does not exist", why=why, fix=fix)
    if code == "DisabledRepo":
        return Failed(f"{what} is disabled on the Hub", why=why, fix="choose another model")
    return Failed(
        f"{what}: the Hub refuses the request",
        why=why,
        fix="if the model is gated, accept its license; check the token (invoke login), HF_ENDPOINT and the proxy",
    )
