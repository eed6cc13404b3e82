"""Log in by way of huggingface_hub: the token is checked, then stored where `hf auth login` stores it."""

from __future__ import annotations

from pathlib import Path

from errors import Failed, Refused
from launch.deadline import call_with_deadline
from launch.http.retry import RetryPolicy
from launch.http.url import printable, public
from launch.weights.sources.hub import endpoint_of
from launch.weights.sources.hub_session import session


def read_token(path: Path) -> str:
    """The token in a file. Raises Refused where there is none."""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read the token file {path}", why=str(error)) from error
    return checked_token(token)


def checked_token(token: str) -> str:
    """The token, if it can be one. Raises Refused, without repeating it."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Refused(
            "that is no token", why="a token is one word of letters, digits and _", fix="copy it again"
        )
    return token


def log_in(token: str) -> tuple[str, Path]:
    """Check a token with whoami and store it, mode 0600. Returns the account's name and where the token is.

    Raises Failed where the Hub does not know the token or does not answer.
    """
    from huggingface_hub import constants, errors, login, whoami

    def ask() -> str:
        name = whoami(token=token)["name"]
        login(token=token, add_to_git_credential=False)
        return printable(str(name))

    try:
        with session(RetryPolicy()):
            name = call_with_deadline(RetryPolicy().talk, ask)
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status == 429 or status >= 500:
            raise Failed("not logged in", why=f"the Hub answered {status}", fix="try again later") from None
        why = "the Hub does not know this token" if status == 401 else f"the Hub answered {status}"
        raise Failed("not logged in", why=why, fix="make a read token on the Hub's settings page") from None
    except OSError as error:
        if error.filename is None:
            raise _unanswered(error) from None
        fix = "HF_HOME and HF_TOKEN_PATH say where a token is kept"
        raise Failed("the token cannot be stored", why=str(error), fix=fix) from None
    except Exception as error:
        raise _unanswered(error) from None
    return name, Path(constants.HF_TOKEN_PATH)


def log_out() -> list[Path]:
    """Remove the stored tokens, as `hf auth logout` does. Returns the files that were removed."""
    from huggingface_hub import constants

    removed = []
    for path in map(Path, (constants.HF_TOKEN_PATH, constants.HF_STORED_TOKENS_PATH)):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Failed("the token cannot be removed", why=str(error), fix=f"rm {path}") from None
        removed.append(path)
    return removed


def _unanswered(error: Exception) -> Failed:
    return Failed(
        "not logged in",
        why=f"{public(endpoint_of())} gave no answer that can be used ({type(error).__name__})",
        fix="check HF_ENDPOINT, the proxy and the network",
    )
