"""Write a number with its noun."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Return `1 node` or `1,000 nodes`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
