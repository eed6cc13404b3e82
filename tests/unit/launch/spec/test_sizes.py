"""Integers with a suffix mean what they mean to vLLM."""

from __future__ import annotations

import pytest

from launch.spec.sizes import size_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8192", 8192),
        (" 8192 ", 8192),
        ("-1", -1),
        ("128k", 128_000),
        ("128K", 131_072),
        ("25.6k", 25_600),
        ("1M", 1_048_576),
        ("2g", 2_000_000_000),
        ("25.6K", None),
        ("1e5", None),
        ("", None),
        ("k", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_size_of_reads_sizes_as_vllm_does(text: str, size: int | None) -> None:
    assert size_of(text) == size
