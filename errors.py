"""The errors of Slipway: what failed, why, and what to do next, in one message without a traceback.

`commands/task.py` turns them into messages and exit codes.
"""

from __future__ import annotations

import re

LONG_WORD = re.compile(r"\S{1000,}")  # a message is for people


class SlipwayError(Exception):
    """An error that a user can act on. `code` is the exit code of the command."""

    code = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        parts = [f"error: {self.what}"]
        if self.why:
            parts.append(f"  why: {self.why}")
        if self.fix:
            parts.append(f"  next: {self.fix}")
        return LONG_WORD.sub(lambda word: f"{word[0][:100]}...", "\n".join(parts))


class Failed(SlipwayError):
    """The request is valid but failed (exit code 1)."""


class Refused(SlipwayError):
    """The request is not valid; nothing was started (exit code 2)."""

    code = 2


def choice(kind: str, given: str, known: list[str] | tuple[str, ...]) -> Refused:
    """Refuse a value that is not one of the known ones: name the nearest, and list them if they are few."""
    from difflib import get_close_matches

    by_lower_case = {name.lower(): name for name in known}  # `JSON` means json
    text = given.lower()
    # `--gpu` means --gpus
    longer = [name for name in by_lower_case if len(text) > 2 and name.startswith(text)]
    matches = longer[:3] or get_close_matches(text, by_lower_case, n=3, cutoff=0.6)
    near = [by_lower_case[name] for name in matches]
    hint = f". Did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""
    fix = f"choose from {', '.join(known)}" if len(known) <= 8 or not near else ""
    return Refused(f"unknown {kind} '{given}'{hint}", fix=fix)
