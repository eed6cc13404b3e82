"""Quantiles of Student's t distribution for a whole number of degrees of freedom.

For these the distribution has a closed form: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
and 26.7.4. With theta = atan(t / sqrt(df)), P(|T| <= t) is a finite sum of powers of cos(theta).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_LARGE = 500  # degrees of freedom from which the normal distribution, corrected once, is exact to 5 digits
_STEPS = 60  # halvings of the angle: more than a float has digits


@lru_cache(maxsize=4096)
def quantile(probability: float, df: int) -> float:
    """Return the t below which a share `probability` of the distribution lies, from 0.5 to less than 1."""
    if not 0.5 <= probability < 1 or df < 1:
        raise ValueError(f"no quantile for probability {probability} and {df} degrees of freedom")
    if df > _LARGE:
        z = NormalDist().inv_cdf(probability)
        return z + (z**3 + z) / (4 * df)
    low, high = 0.0, math.pi / 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < 2 * probability - 1 else (low, middle)
    return math.sqrt(df) * math.tan(low)


def _within(theta: float, df: int) -> float:
    """Return P(|T| <= sqrt(df) * tan(theta))."""
    cos, sin = math.cos(theta), math.sin(theta)
    odd = df % 2
    term = cos if odd else 1.0
    total = 0.0 if df == 1 else term
    for k in range(2 + odd, df - 1, 2):
        term *= cos * cos * (k - 1) / k
        total += term
    return (theta + sin * total) * 2 / math.pi if odd else sin * total
