"""Integers as people write them, read as vLLM reads them (vllm/utils/argparse_utils.py)."""

from __future__ import annotations

import re

SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGtT])")
DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
LONGEST = 20  # digits


def size_of(text: str) -> int | None:
    """Return the integer that a text means, None if it means none: 8192, 128k (128,000), 128K (131,072), 25.6k.

    A decimal fraction goes with a decimal suffix only.
    """
    text = text.strip()
    if len(text) > LONGEST or not text.isascii():
        return None
    if match := SIZE.fullmatch(text):
        number, suffix = match.groups()
        if suffix in DECIMAL:
            return int(float(number) * DECIMAL[suffix])
        return int(number) * BINARY[suffix] if number.isdigit() else None
    try:
        return int(text)
    except ValueError:
        return None
