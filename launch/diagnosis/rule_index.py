"""Choose the rules that can match a text, at a cost that depends on the text and not on the number of rules.

Each rule is filed under short pieces of the literal text that its patterns need; a text is cut into all its pieces.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from launch.diagnosis.literals import required

PIECE = 5  # characters; shorter pieces occur in most lines, longer ones in few patterns


class Indexed(Protocol):
    """What can be filed: something with the sources of regular expressions."""

    @property
    def sources(self) -> Sequence[str]:
        """The regular expressions of which one must match."""
        ...


T = TypeVar("T", bound=Indexed)


class RuleIndex(Generic[T]):
    """An index over the literal pieces of rules."""

    def __init__(self, rules: Iterable[T]) -> None:
        self._rules = tuple(rules)
        runs = [[run for source in rule.sources for run in _runs(source)] for rule in self._rules]
        frequency = Counter(piece for needed in runs for run in needed for piece in _pieces(run))
        self._filed: dict[str, set[int]] = defaultdict(set)
        self._always: set[int] = set()
        for number, needed in enumerate(runs):
            for run in needed:
                if len(run) < PIECE:
                    self._always.add(number)
                else:
                    self._filed[min(_pieces(run), key=lambda piece: (frequency[piece], piece))].add(number)

    def candidates(self, text: str) -> list[T]:
        """Return the rules of which a pattern may occur in the text, in their order."""
        found = set(self._always)
        for piece in self._filed.keys() & _pieces(text.lower()):
            found |= self._filed[piece]
        return [self._rules[number] for number in sorted(found)]


def _runs(source: str) -> tuple[str, ...]:
    return required(source).runs or ("",)


def _pieces(text: str) -> set[str]:
    return {text[start : start + PIECE] for start in range(len(text) - PIECE + 1)}
