"""Compare two sets of measurements: the ratio, its 95 % interval, and what can be concluded from it.

The method is Welch's t test on logarithms, so that a ratio and its inverse are treated alike. A spread smaller than
the noise of the host counts as that noise: three runs that agree by chance do not make a small difference certain.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, variance

from launch.bench.student_t import quantile

MARGIN = math.log(1.05)  # a difference within +-5 % has no practical meaning
CONFIDENCE = 0.95
POWER = 0.8  # probability with which the suggested number of repeats shows a difference of the measured size
MOST_REPEATS = 100  # more repeats are not suggested


class Outcome(StrEnum):
    """What a comparison concludes."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNCLEAR = "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """New measurements against old ones.

    `ratio` is new / old of the geometric means, and `low` and `high` are its interval: None if a side has one value.
    `repeats` of each side would probably tell, if it is unclear: None if unknown or more than MOST_REPEATS.
    """

    ratio: float
    low: float | None
    high: float | None
    outcome: Outcome
    old_count: int
    new_count: int
    repeats: int | None = None


@dataclass(frozen=True)
class _Spread:
    """Variances of the logarithms of one value of each side, and the numbers of values."""

    old: float
    new: float
    old_count: int
    new_count: int

    @property
    def error(self) -> float:
        """The standard error of the difference of the means."""
        return math.sqrt(self.old / self.old_count + self.new / self.new_count)

    @property
    def df(self) -> int:
        """Welch's degrees of freedom, rounded down; 1 at least."""
        total = self.old + self.new
        if not total:
            return 1
        # Shares of the total, because the square of a small variance is 0 for a float.
        a, b = self.old / total / self.old_count, self.new / total / self.new_count
        df = (a + b) ** 2 / (a**2 / (self.old_count - 1) + b**2 / (self.new_count - 1))
        return max(1, math.floor(df + 1e-9))  # 4 degrees are 3.9999999999 in floats

    def reach(self, probability: float) -> float:
        """Return the distance from the mean within which a one-sided share `probability` lies."""
        return quantile(probability, self.df) * self.error


def compare(
    old: Sequence[float], new: Sequence[float], floor: float = 0.0, higher_is_better: bool = True
) -> Comparison:
    """Compare values of two sides. `floor` is the host's noise: a standard deviation of logarithms.

    Raises ValueError for a side without values, and for a value that is not a positive finite number.
    """
    logs_old, logs_new = _logs(old), _logs(new)
    difference = fmean(logs_new) - fmean(logs_old)
    if min(len(old), len(new)) < 2:
        repeats = _repeats(difference, floor**2, floor**2, 1) if floor else None
        return Comparison(_exp(difference), None, None, Outcome.UNCLEAR, len(old), len(new), repeats=repeats)
    spread = _Spread(max(variance(logs_old), floor**2), max(variance(logs_new), floor**2), len(old), len(new))
    reach = spread.reach(1 - (1 - CONFIDENCE) / 2)
    low, high = difference - reach, difference + reach
    outcome = _outcome(low, high, higher_is_better)
    repeats = (
        _repeats(difference, spread.old, spread.new, max(len(old), len(new)))
        if outcome is Outcome.UNCLEAR
        else None
    )
    return Comparison(_exp(difference), _exp(low), _exp(high), outcome, len(old), len(new), repeats=repeats)


def is_measurement(value: object) -> bool:
    """Return whether a value can be compared: a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= sys.float_info.max  # false for NaN; an integer may be too large for a float


def _logs(values: Sequence[float]) -> list[float]:
    if not values:
        raise ValueError("a side has no values")
    if wrong := [value for value in values if not is_measurement(value)]:
        raise ValueError(f"'{wrong[0]}' is not a positive finite number")
    return [math.log(value) for value in values]


def _outcome(low: float, high: float, higher_is_better: bool) -> Outcome:
    """Return the conclusion from the interval of the logarithm of the ratio."""
    if low >= -MARGIN and high <= MARGIN:
        return Outcome.SAME
    if low <= 0 <= high:
        return Outcome.UNCLEAR
    return Outcome.FASTER if (low > 0) is higher_is_better else Outcome.SLOWER


def _repeats(difference: float, old: float, new: float, count: int) -> int | None:
    """Return how many values of each side would probably tell, if difference and variances stay as measured."""
    for more in range(count + 1, MOST_REPEATS + 1):
        spread = _Spread(old, new, more, more)
        reach = spread.reach(1 - (1 - CONFIDENCE) / 2) + spread.reach(POWER)
        if reach < abs(difference) or abs(difference) + reach <= MARGIN:
            return more
    return None


def _exp(logarithm: float) -> float:
    """Return a ratio; one that no float holds is the largest or smallest that one holds."""
    return math.exp(max(-700.0, min(700.0, logarithm)))
