"""Find text that every match of a regular expression contains, so that most expressions need not be tried.

The scanner knows the syntax that the rules use. Text that it cannot judge counts as "may match anything".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?(?:P<\w+>|:|i:|=|!|<=|<!))?)|"
    r"(?P<close>\))|(?P<bar>\|)|(?P<any>[.^$])|(?P<literal>.)",
    re.DOTALL,
)
_QUANTIFIER = re.compile(r"[*+?]\??|\{\d*,?\d*\}\??")
_CHARACTER_ESCAPES = re.compile(r"\\[^\w]")


@dataclass(frozen=True)
class Required:
    """Runs of literal text, lower case. Every match contains one run of `runs`; `weight` counts sure characters."""

    runs: tuple[str, ...]
    weight: int


def required(pattern: str) -> Required:
    """Return what every match of a pattern contains; `runs` is empty if nothing is sure."""
    return _Scanner(pattern).alternatives()


class _Scanner:
    def __init__(self, pattern: str) -> None:
        self._pattern, self._position = pattern, 0

    def alternatives(self) -> Required:
        """Scan to the end of the pattern or group: one branch or the other occurs."""
        branches = [self._branch()]
        while self._take("|"):
            branches.append(self._branch())
        runs = tuple(run for branch in branches for run in branch.runs)
        sure = all(branch.runs for branch in branches)
        return Required(runs if sure else (), min(branch.weight for branch in branches))

    def _branch(self) -> Required:
        """Scan one branch. Of its parts that must occur, the one whose shortest run is longest is kept."""
        best: tuple[str, ...] = ()
        run, weight = "", 0
        while (token := self._next()) is not None:
            kind, text = token
            group = self._group(text) if kind == "open" else None
            optional, repeated = self._quantifier()
            if group is not None:
                best, run = _longer(best, (run,)), ""
                best, weight = (
                    (best, weight) if optional else (_longer(best, group.runs), weight + group.weight)
                )
            elif kind in ("literal", "escape") and (char := _character(text)) and not optional:
                run, weight = run + char, weight + 1
                best, run = (_longer(best, (run,)), "") if repeated else (best, run)
            else:
                best, run = _longer(best, (run,)), ""
        return Required(_longer(best, (run,)), weight)

    def _group(self, opening: str) -> Required:
        inner = self.alternatives()
        self._take(")")
        negative = opening in ("(?!", "(?<!")
        return Required((), 0) if negative else inner

    def _next(self) -> tuple[str, str] | None:
        """Return kind and text of the next token, or None at the end of the branch."""
        match = _TOKEN.match(self._pattern, self._position)
        if match is None or match.lastgroup in ("bar", "close"):
            return None
        self._position = match.end()
        return str(match.lastgroup), match[0]

    def _quantifier(self) -> tuple[bool, bool]:
        """Return whether the token before is optional, and whether it may be repeated."""
        match = _QUANTIFIER.match(self._pattern, self._position)
        if match is None:
            return False, False
        self._position = match.end()
        return match[0].startswith(("*", "?", "{0", "{,")), True

    def _take(self, char: str) -> bool:
        taken = self._pattern.startswith(char, self._position)
        self._position += taken
        return taken


def _character(token: str) -> str:
    """Return the character that a token matches, in lower case, or "" if it can match several."""
    if len(token) == 1:
        return token.lower()
    return token[1] if _CHARACTER_ESCAPES.match(token) else ""


def _longer(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return the runs whose shortest is longer; empty runs tell nothing."""
    return max(one, other, key=lambda runs: min((len(run) for run in runs), default=0))
