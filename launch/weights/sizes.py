"""Bytes in words."""

from __future__ import annotations


def gb(count: int | None) -> str:
    """Gigabytes as disks are sold; "an unknown amount" for None."""
    return "an unknown amount" if count is None else f"{count / 1e9:.0f} GB"
