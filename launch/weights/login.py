"""Log in to the Hub with huggingface_hub: check the token, then store it where `hf auth login` stores it."""

from __future__ import annotations

from pathlib import Path

from errors import Failed, Refused, SlipwayError
from launch.deadline import call_with_deadline
from launch.http.client import NoResponse
from launch.http.retry import RetryPolicy
from launch.http.url import printable, public
from launch.weights.sources.hub import endpoint_of


def read_token(path: Path) -> str:
    """Return the token in a file. Raises Refused."""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read the token file '{path}'", why=str(error)) from error
    return checked_token(token)


def checked_token(token: str) -> str:
    """Return the token if it is well-formed. Raises Refused, without repeating it."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        why = "a token has only letters, digits and _"
        raise Refused("the token is not valid", why=why, fix="copy it again")
    return token


def log_in(token: str) -> tuple[str, Path]:
    """Check a token with whoami and store it with mode 0600. Return the account's name and the token's file.

    Raises Failed if the Hub does not accept the token or does not answer.
    """
    from huggingface_hub import constants, errors, login, whoami

    from launch.weights.sources.hub_session import session

    def check_and_store() -> str:
        name = whoami(token=token)["name"]
        login(token=token, add_to_git_credential=False)
        return printable(str(name))

    policy = RetryPolicy()
    try:
        with session(policy):
            name = call_with_deadline(policy.response_timeout, check_and_store)
    except NoResponse as error:
        raise _no_answer(error.what) from None
    except SlipwayError:
        raise
    except errors.HfHubHTTPError as error:
        raise _refusal(error.response.status_code) from None
    except OSError as error:
        if error.filename is None:
            raise _no_answer(type(error).__name__) from None
        fix = "set HF_HOME or HF_TOKEN_PATH to a place that can be written to"
        raise Failed("the token cannot be stored", why=str(error), fix=fix) from None
    except Exception as error:
        raise _no_answer(type(error).__name__) from None
    return name, Path(constants.HF_TOKEN_PATH)


def log_out() -> list[Path]:
    """Delete the stored tokens, as `hf auth logout` does. Return the deleted files. Raises Failed."""
    from huggingface_hub import constants

    deleted = []
    for path in map(Path, (constants.HF_TOKEN_PATH, constants.HF_STORED_TOKENS_PATH)):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Failed("the token cannot be removed", why=str(error), fix=f"rm {path}") from None
        deleted.append(path)
    return deleted


def _refusal(status: int) -> Failed:
    if status == 429 or status >= 500:
        return Failed("not logged in", why=f"the Hub answered {status}", fix="try again later")
    why = "the Hub does not know this token" if status == 401 else f"the Hub answered {status}"
    return Failed("not logged in", why=why, fix="create a read token on the Hub's settings page")


def _no_answer(reason: str) -> Failed:
    return Failed(
        "not logged in",
        why=f"{public(endpoint_of())} gave no valid response ({reason})",
        fix="check HF_ENDPOINT, the proxy and the network",
    )
