"""Change the words of a command line before invoke's parser reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

RENAMED = {"--cure": "--workaround", "--contract": "--capabilities", "--patience": "--phase-timeout"}


def renamed(words: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """The words with the present names of options; `say` gets one line for each old name."""
    found = []
    for word, before in zip(words, ("", *words), strict=False):
        flag, equals, value = word.partition("=")
        if flag in RENAMED and before not in ("--set", "--env"):
            say(f"`{flag}` is now `{RENAMED[flag]}`")
            flag = RENAMED[flag]
        found.append(flag + equals + value)
    return found
