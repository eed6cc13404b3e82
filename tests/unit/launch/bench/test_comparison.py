"""Compare measurements: worked examples, properties, and how often the method is wrong."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from launch.bench.comparison import MARGIN, Outcome, compare

Values = list[float]
FLIPPED = {Outcome.FASTER: Outcome.SLOWER, Outcome.SLOWER: Outcome.FASTER}

measurements = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=8)


@pytest.mark.parametrize(
    ("old", "new", "floor", "ratio", "low", "high", "outcome"),
    [
        ([100, 101, 99], [100, 100.5, 99.5], 0.0, 1.0, 0.9726, 1.0282, "same"),
        ([100, 101, 99], [110, 111, 109], 0.0, 1.1, 1.073, 1.1277, "faster"),
        ([100, 101, 99], [103, 104, 102], 0.05, 1.03, 0.9196, 1.1536, "cannot tell"),
        ([100, 120, 80], [110, 130, 95], 0.0, 1.1227, 0.7006, 1.7991, "cannot tell"),
        ([100, 120, 80], [45, 40, 50], 0.0, 0.4543, 0.2968, 0.6954, "slower"),
    ],
)
def test_compare_worked_examples(
    old: Values, new: Values, floor: float, ratio: float, low: float, high: float, outcome: str
) -> None:
    comparison = compare(old, new, floor)
    assert comparison.ratio == pytest.approx(ratio, abs=6e-5)
    assert comparison.low == pytest.approx(low, abs=6e-5)
    assert comparison.high == pytest.approx(high, abs=6e-5)
    assert comparison.outcome == outcome


def test_a_latency_that_rises_is_slower() -> None:
    assert compare([100, 101, 99], [110, 111, 109], higher_is_better=False).outcome is Outcome.SLOWER


@pytest.mark.parametrize(("old", "new"), [([100], [200]), ([100], [200, 201, 202]), ([1, 1, 1], [9])])
def test_one_value_of_a_side_tells_nothing(old: Values, new: Values) -> None:
    comparison = compare(old, new)
    assert comparison.outcome is Outcome.UNCLEAR
    assert (comparison.low, comparison.high, comparison.repeats) == (None, None, None)


def test_one_value_of_a_side_and_known_noise_suggest_a_number_of_repeats() -> None:
    assert compare([100], [130], floor=0.05).repeats == 3


@pytest.mark.parametrize("new", [[100.0, 100, 100], [110.0, 110, 110]])
def test_equal_values_have_an_interval_without_width(new: Values) -> None:
    comparison = compare([100, 100, 100], new)
    assert comparison.low == comparison.high == comparison.ratio
    assert comparison.outcome is (Outcome.SAME if new[0] == 100 else Outcome.FASTER)


def test_a_small_spread_counts_as_the_noise_of_the_host() -> None:
    assert compare([100, 100, 100], [106, 106, 106]).outcome is Outcome.FASTER
    assert compare([100, 100, 100], [106, 106, 106], floor=0.05).outcome is Outcome.UNCLEAR


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 0.0, -1.0, True, None, "100"])
@pytest.mark.parametrize("side", ["old", "new"])
def test_a_value_that_is_not_a_measurement_is_refused(wrong: float, side: str) -> None:
    sides = ([100, wrong], [100, 101])
    with pytest.raises(ValueError, match="not a positive finite number"):
        compare(*(sides if side == "old" else reversed(sides)))


def test_a_side_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        compare([], [100, 101])


@given(measurements, measurements, st.floats(0, 0.3))
def test_swapping_the_sides_inverts_ratio_interval_and_outcome(
    old: Values, new: Values, floor: float
) -> None:
    forward, back = compare(old, new, floor), compare(new, old, floor)
    assert forward.low is not None and forward.high is not None and back.low is not None
    assert forward.ratio == pytest.approx(1 / back.ratio)
    assert forward.high == pytest.approx(1 / back.low)
    assume(not _on_an_edge(forward.low, forward.high))
    assert back.outcome is FLIPPED.get(forward.outcome, forward.outcome)


@given(measurements, measurements, st.floats(1e-6, 1e6))
def test_the_unit_of_the_values_changes_nothing(old: Values, new: Values, factor: float) -> None:
    plain = compare(old, new)
    scaled = compare([x * factor for x in old], [x * factor for x in new])
    assert plain.low is not None and plain.high is not None
    assert scaled.ratio == pytest.approx(plain.ratio)
    assume(not _on_an_edge(plain.low, plain.high) and max(old) > min(old) * 1.0001)
    assert scaled.outcome is plain.outcome


@given(st.lists(st.floats(5e-324, 1.7e308), min_size=2, max_size=4), measurements)
def test_every_ratio_is_a_finite_number(old: Values, new: Values) -> None:
    comparison = compare(old, new)
    assert comparison.low is not None and comparison.high is not None
    assert 0 < comparison.low <= comparison.ratio <= comparison.high < math.inf


@given(measurements, measurements)
def test_repeats_are_suggested_only_if_it_is_unclear(old: Values, new: Values) -> None:
    comparison = compare(old, new)
    if comparison.repeats is not None:
        assert comparison.outcome is Outcome.UNCLEAR
        assert comparison.repeats > max(len(old), len(new))


def test_the_suggested_number_of_repeats_tells_in_most_cases() -> None:
    """A true difference of 12 % and a spread of 10 %: the suggestion of such a comparison tells in 8 of 10 cases."""
    chance = random.Random(5)
    suggested = _suggested(0.12, 0.10)
    outcomes = [
        compare(_draw(100, 0.10, suggested, chance), _draw(112, 0.10, suggested, chance)).outcome
        for _ in range(400)
    ]
    assert outcomes.count(Outcome.FASTER) / len(outcomes) == pytest.approx(0.8, abs=0.07)


def test_without_a_change_the_method_is_rarely_wrong_and_a_plain_limit_is_mostly_wrong() -> None:
    """Spread 15 %, three runs a side, no true change: 2000 comparisons."""
    chance = random.Random(15)
    wrong = plain_wrong = 0
    for _ in range(2000):
        old, new = _draw(100, 0.15, 3, chance), _draw(100, 0.15, 3, chance)
        wrong += compare(old, new).outcome in FLIPPED
        plain_wrong += abs(fmean(new) / fmean(old) - 1) > 0.05
    assert wrong / 2000 < 0.03
    assert 0.6 < plain_wrong / 2000 < 0.75


def test_a_planted_slowdown_of_20_percent_is_found_with_five_runs() -> None:
    """Spread 5 %, five runs a side: 1000 comparisons."""
    chance = random.Random(20)
    outcomes = [compare(_draw(100, 0.05, 5, chance), _draw(80, 0.05, 5, chance)).outcome for _ in range(1000)]
    assert outcomes.count(Outcome.SLOWER) >= 990


def _draw(mean: float, spread: float, count: int, chance: random.Random) -> Values:
    return [mean * math.exp(chance.gauss(0, spread)) for _ in range(count)]


def _suggested(change: float, spread: float) -> int:
    """Return the suggestion of a comparison of two runs a side that show exactly this change and spread."""
    step = math.exp(
        spread / math.sqrt(2)
    )  # the sample standard deviation of log x, log y is their distance / sqrt 2
    old = [100 / step, 100 * step]
    repeats = compare(old, [x * (1 + change) for x in old]).repeats
    assert repeats is not None
    return repeats


def _on_an_edge(low: float, high: float) -> bool:
    """Return whether rounding decides the outcome."""
    return any(abs(abs(math.log(end)) - edge) < 1e-9 for end in (low, high) for edge in (0, MARGIN))
