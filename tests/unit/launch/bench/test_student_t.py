"""Quantiles of Student's t against printed tables."""

from __future__ import annotations

import pytest

from launch.bench.student_t import quantile

# Two-sided 95 % (one-sided 97.5 %), as every printed table of the t distribution has them.
TABLE = {
    **{1: 12.706205, 2: 4.302653, 3: 3.182446, 4: 2.776445, 5: 2.570582, 6: 2.446912, 7: 2.364624},
    **{8: 2.306004, 9: 2.262157, 10: 2.228139, 15: 2.131450, 20: 2.085963, 30: 2.042272, 60: 2.000298},
    **{100: 1.983972, 120: 1.979930, 499: 1.964729, 501: 1.964711, 1000: 1.962339, 1_000_000: 1.959966},
}


@pytest.mark.parametrize(("df", "expected"), TABLE.items())
def test_quantile_is_the_value_of_the_printed_table(df: int, expected: float) -> None:
    assert quantile(0.975, df) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("probability", "df", "expected"),
    [(0.8, 4, 0.940965), (0.95, 5, 2.015048), (0.99, 10, 2.763769), (0.995, 1, 63.656741), (0.5, 7, 0.0)],
)
def test_quantile_of_other_probabilities(probability: float, df: int, expected: float) -> None:
    assert quantile(probability, df) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("probability", "df"), [(1.0, 4), (0.2, 4), (0.975, 0), (float("nan"), 4)])
def test_quantile_refuses_what_has_none(probability: float, df: int) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        quantile(probability, df)
