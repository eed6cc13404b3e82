"""Find how many users at once a server serves within an SLO: double, then bisect. Pure: `measure` does the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from launch.plural import count

if TYPE_CHECKING:
    from launch.bench.users import UsersPoint

MOST_POINTS = 8
MOST_USERS = 1024
LEAST_GAIN = 1.05  # throughput of twice the users, below which more users are not tried
CLOSE = 0.05  # of the users: a smaller interval is not bisected

Measure = Callable[[int], "UsersPoint"]


class End(StrEnum):
    """Why a search ended."""

    FOUND = "the limit is between two measured points"
    SATURATED = "more users add less than 5 % throughput"
    POINTS = f"{MOST_POINTS} points are measured"
    BUDGET = "the budget is used up"
    USERS = f"{MOST_USERS} users are within the SLO"


@dataclass(frozen=True)
class Answer:
    """The result of a search. `best` is the point of most users within the SLO, None if one user misses it.

    `first_miss` is the point of the fewest users that miss it, None if none did.
    """

    points: tuple[UsersPoint, ...]
    end: End

    @property
    def best(self) -> UsersPoint | None:
        """The point of most users that is within the SLO and below every point that is not."""
        miss = self.first_miss
        kept = [point for point in self.points if point.meets and (not miss or point.users < miss.users)]
        return max(kept, key=lambda point: point.users, default=None)

    @property
    def first_miss(self) -> UsersPoint | None:
        """The point of the fewest users that is not within the SLO."""
        return min((p for p in self.points if not p.meets), key=lambda point: point.users, default=None)

    def __str__(self) -> str:
        best, miss = self.best, self.first_miss
        if best is None:
            return (
                f"not even one user is served within the SLO: {miss.times}"
                if miss
                else "nothing was measured"
            )
        users = (
            f"{count(best.users, 'user')} at once{_interval(best.users, miss.users - 1 if miss else None)}"
        )
        gpu = f", {best.per_gpu:.0f} per GPU" if best.per_gpu != best.rate else ""
        after = f"; at {miss.users}, {miss.times}" if miss else f"; {self.end}"
        return f"{users}, {best.rate:.0f} tok/s{gpu}{after}"


def _interval(low: int, high: int | None) -> str:
    if high is None:
        return " or more"
    return f" ({low}-{high})" if high > low else ""


def search(measure: Measure, in_budget: Callable[[float], bool] = lambda seconds: True) -> Answer:
    """Search. `in_budget` tells whether there is time for another point of so many seconds.

    A point that misses the SLO ends the doubling only if it misses twice: one slow run may be noise.
    """
    points: dict[int, UsersPoint] = {}
    users, end = 1, End.FOUND
    while True:
        points[users] = _confirmed(measure, users)
        if stop := _stop(points, users, in_budget):
            end = stop
            break
        if not points[users].meets:
            break
        users *= 2
    if end is End.FOUND and users > 1:
        end = _bisect(measure, points, users // 2, users, in_budget)
    return Answer(tuple(points.values()), end)


def _confirmed(measure: Measure, users: int) -> UsersPoint:
    """Return a point; one that misses the SLO is measured again, and the better one counts."""
    first = measure(users)
    return first if first.meets else max(first, measure(users), key=lambda point: (point.meets, point.kept))


def _stop(points: dict[int, UsersPoint], users: int, in_budget: Callable[[float], bool]) -> End | None:
    """Return why no further point is measured, or None."""
    point, before = points[users], points.get(users // 2)
    if point.meets and before and point.rate < LEAST_GAIN * before.rate:
        return End.SATURATED
    if point.meets and users >= MOST_USERS:
        return End.USERS
    if len(points) >= MOST_POINTS:
        return End.POINTS
    return None if in_budget(point.seconds) else End.BUDGET


def _bisect(
    measure: Measure, points: dict[int, UsersPoint], low: int, high: int, in_budget: Callable[[float], bool]
) -> End:
    """Halve the interval between a point within the SLO and one that is not, until it is small."""
    while high - low > max(1, CLOSE * low):
        if len(points) >= MOST_POINTS:
            return End.POINTS
        if not in_budget(points[low].seconds):
            return End.BUDGET
        middle = (low + high) // 2
        points[middle] = measure(middle)
        low, high = (middle, high) if points[middle].meets else (low, middle)
    return End.FOUND
