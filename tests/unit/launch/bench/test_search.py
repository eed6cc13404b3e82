"""The search for the number of users, on simulated servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.bench.search import MOST_POINTS, MOST_USERS, Answer, End, search
from launch.bench.users import UsersPoint


def point(users: int, meets: bool, rate: float, kept: float | None = None) -> UsersPoint:
    share = kept if kept is not None else float(meets)
    ttft = 100.0 if meets else 3100.0
    return UsersPoint(users, 20, rate, rate / 4, share, 95, ttft, 40, 60.0, f"r{users}", "good", meets)


class Simulated:
    """A server that keeps an SLO up to `limit` users and whose throughput grows up to `full` users."""

    def __init__(
        self, limit: int, full: int = 10**6, noise: Callable[[int, int], bool] | None = None
    ) -> None:
        self.limit, self.full, self.noise = limit, full, noise
        self.asked: list[int] = []

    def __call__(self, users: int) -> UsersPoint:
        self.asked.append(users)
        flip = self.noise is not None and self.noise(users, self.asked.count(users))
        return point(users, (users <= self.limit) is not flip, 40.0 * min(users, self.full))


def test_users_are_doubled_then_bisected() -> None:
    server = Simulated(limit=13)
    answer = search(server)
    assert server.asked == [1, 2, 4, 8, 16, 16, 12, 14, 13]
    assert str(answer) == (
        "13 users at once, 520 tok/s, 130 per GPU; at 14, TTFT p95 is 3.1 s, TPOT p95 is 40 ms"
    )
    assert answer.end is End.FOUND


def test_at_most_eight_points_are_measured_and_the_answer_is_an_interval() -> None:
    answer = search(Simulated(limit=62))
    assert len(answer.points) == MOST_POINTS
    assert answer.end is End.POINTS
    assert answer.best is not None
    assert answer.first_miss is not None
    assert (answer.best.users, answer.first_miss.users) == (48, 64)
    assert str(answer).startswith("48 users at once (48-63), 1920 tok/s")


def test_one_slow_run_does_not_end_the_doubling() -> None:
    server = Simulated(limit=20, noise=lambda users, time: users == 4 and time == 1)
    answer = search(server)
    assert server.asked[:5] == [1, 2, 4, 4, 8]
    assert answer.best is not None
    assert answer.best.users > 8


def test_a_full_server_ends_the_search_although_the_slo_is_kept() -> None:
    answer = search(Simulated(limit=10**6, full=16))
    assert [one.users for one in answer.points] == [1, 2, 4, 8, 16, 32]
    assert answer.end is End.SATURATED
    assert str(answer) == (
        "32 users at once or more, 640 tok/s, 160 per GPU; more users add less than 5 % throughput"
    )


def test_not_even_one_user_is_reported_with_the_figures() -> None:
    server = Simulated(limit=0)
    answer = search(server)
    assert server.asked == [1, 1]
    assert answer.best is None
    assert str(answer) == ("not even one user is served within the SLO: TTFT p95 is 3.1 s, TPOT p95 is 40 ms")


@pytest.mark.parametrize(("seconds", "points"), [(59, 1), (130, 2), (370, 6)])
def test_the_budget_ends_the_search(seconds: float, points: int) -> None:
    server = Simulated(limit=10**6)
    answer = search(server, lambda next_point: 60 * len(server.asked) + next_point <= seconds)
    assert (len(answer.points), answer.end) == (points, End.BUDGET)


def test_a_search_that_fails_keeps_its_reason() -> None:
    def dies(users: int) -> UsersPoint:
        if users == 8:
            raise RuntimeError("the server ended")
        return point(users, True, 40.0 * users)

    with pytest.raises(RuntimeError, match="the server ended"):
        search(dies)


@given(limit=st.integers(0, 2 * MOST_USERS), full=st.integers(1, 4096), noise=st.sets(st.integers(1, 300)))
def test_a_search_ends_and_its_answer_lies_between_its_points(limit: int, full: int, noise: set[int]) -> None:
    server = Simulated(limit, full, lambda users, time: time == 1 and users in noise)
    answer: Answer = search(server)
    assert len(answer.points) <= MOST_POINTS
    assert len(server.asked) <= 2 * MOST_POINTS
    assert max(server.asked) <= MOST_USERS
    if answer.best and answer.first_miss:
        assert answer.best.users < answer.first_miss.users
