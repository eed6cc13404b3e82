"""Suggest the known word that a user may mean."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

SHORT = 4  # letters
LONGEST = 80


def near(given: str, known: Iterable[str], number: int = 2) -> list[str]:
    """Return the most similar known words, whatever their case; none for a text that is too long to be a name."""
    return [] if len(given) > LONGEST else list(_near(given, tuple(known), number))


@lru_cache(maxsize=256)  # the words of a recipe are the same in each of its plans
def _near(given: str, known: tuple[str, ...], number: int) -> tuple[str, ...]:
    by_case = sorted(known, key=lambda word: word.isupper() == given.isupper())
    by_lower_case = {
        word.lower(): word for word in by_case
    }  # of two spellings, that in the case of the given word
    cutoff = 0.7 if len(given) > SHORT else 0.6  # one wrong letter of three
    found = get_close_matches(given.lower(), by_lower_case, n=number, cutoff=cutoff)
    return tuple(by_lower_case[word] for word in found)


def hint(given: str, known: Iterable[str]) -> str:
    """Return `. Did you mean ...?`, "" without a similar word."""
    found = near(given, known)
    return f". Did you mean {' or '.join(f'`{word}`' for word in found)}?" if found else ""
