"""`invoke login` and `invoke logout`: the token of the Hugging Face Hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from commands.output import say
from commands.task import verb
from errors import Refused
from launch.spec.option import Option


@verb()
def login(
    c: Context,
    token_file: Annotated[
        str, Option("read the token from this file instead of asking for it; - is stdin", metavar="PATH")
    ] = "",
) -> None:
    """Log in to the Hugging Face Hub.

    The token is checked, then stored where `hf auth login` stores it.
    """
    from launch.weights.login import checked_token, log_in, read_token

    if token_file:
        token = read_token(Path("/dev/stdin" if token_file == "-" else token_file))
    else:
        token = checked_token(_ask_token())
    name, path = log_in(token)
    print(f"logged in as {name}; the token is stored in {path}, readable only by you")


def _ask_token() -> str:
    from getpass import getpass

    if not sys.stdin.isatty():
        why = "stdin is not a terminal"
        raise Refused("cannot ask for the token", why=why, fix="invoke login --token-file FILE")
    return getpass("token (not shown): ").strip()


@verb()
def logout(c: Context) -> None:
    """Log out of the Hugging Face Hub: remove the stored token."""
    from launch.weights.login import log_out

    removed = log_out()
    print("\n".join(f"removed {path}" for path in removed) or "no token is stored")
    if os.environ.get("HF_TOKEN"):
        say("HF_TOKEN is set in the environment and is still used")
