"""Words for a shell to read: quoted where they must be, with the launcher's variables left open."""

from __future__ import annotations

import re
import shlex

# Addresses and interfaces that only the launcher knows. Any other dollar is a dollar.
OPEN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*=)?\$(HEAD_IP|IFACE_NAME|IB_IF)")


def quote(word: str) -> str:
    """The word as the shell must see it."""
    return word if OPEN.fullmatch(word) else shlex.quote(word)


def paired(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The words of a command in lines: each option with its values."""
    lines: list[tuple[str, ...]] = []
    for word in words:
        if not lines or word.startswith("--"):
            lines.append((word,))
        else:
            lines[-1] += (word,)
    return lines


def lines(parts: list[tuple[str, ...]], between: str = " \\\n  ") -> str:
    """Parts of one command, each quoted, with a continuation between them."""
    return between.join(" ".join(quote(word) for word in part) for part in parts)
