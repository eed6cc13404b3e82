"""When a server is restarted: each test is a list of observations, one every ten seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.serving.metrics import ProgressReading
from launch.supervision.policy import Decision, History, Observation, Policy, begin, decide

POLICY = Policy(hang_after=30, dead_after=10, silent_after=60, stable_after=100, max_restarts=3)


def serves(*, steps: int = 5, requests: int = 0) -> Observation:
    return Observation(0, "running", "ok", {"0": ProgressReading(requests, steps)}, started="first")


SERVES, BUSY = serves(), serves(requests=2)
SILENT = replace(SERVES, health="silent", engines=None)
DEAD = replace(SILENT, health="dead")
EXITED = Observation(0, "exited", exit_code=0)
BEGAN = History(0, started="first")


def watch(*seen: Observation, history: History = BEGAN) -> list[Decision]:
    """Return the decision after each observation."""
    decisions = []
    for index, one in enumerate(seen):
        decision, history = decide(POLICY, history, replace(one, at=10.0 * index))
        decisions.append(decision)
    return decisions


def actions(*seen: Observation) -> list[str]:
    return [decision.action for decision in watch(*seen)]


def test_a_server_that_serves_or_works_is_left_alone() -> None:
    steps = [serves(steps=number, requests=2) for number in range(20)]
    assert set(actions(SERVES, *steps, SERVES)) == {"wait"}


def test_an_idle_server_is_asked_now_and_then_and_left_alone_if_it_answers() -> None:
    assert actions(SERVES, SERVES) == ["wait", "wait"]
    assert actions(SERVES, SERVES, SERVES) == ["wait", "wait", "probe"]
    answered = replace(SERVES, answered=True)
    assert actions(SERVES, SERVES, answered, SERVES, SERVES) == ["wait", "wait", "wait", "wait", "probe"]


def test_an_engine_that_hangs_reports_no_requests_and_is_found_by_a_test_request() -> None:
    unanswered = replace(SERVES, answered=False)
    reason = "a test request got no answer for 15 s"
    assert watch(SERVES, SERVES, unanswered)[-1] == Decision("restart", reason)


def test_one_engine_of_several_that_hangs_is_a_hang() -> None:
    steps = [
        replace(SERVES, engines={"0": ProgressReading(1, n), "1": ProgressReading(3, 7)}) for n in range(4)
    ]
    assert watch(*steps)[-1] == Decision("restart", "3 requests made no progress for 30 s")


@pytest.mark.parametrize("code", [0, 1, 137])
def test_every_exit_is_a_death_also_one_with_status_0(code: int) -> None:
    assert watch(replace(EXITED, exit_code=code)) == [Decision("restart", f"it exited with {code}")]


def test_a_server_that_the_kernel_killed_is_named_so() -> None:
    (decision,) = watch(replace(EXITED, exit_code=137, oom_killed=True))
    assert decision.reason == "it ran out of memory and was killed"


def test_a_dead_engine_core_answers_503_and_is_restarted_soon() -> None:
    assert watch(SERVES, DEAD, DEAD)[-1] == Decision("restart", "/health reported an error for 10 s")


def test_a_silent_server_has_a_minute() -> None:
    assert actions(*[SILENT] * 6) == ["wait"] * 6
    assert watch(*[SILENT] * 7)[-1] == Decision("restart", "/health did not answer for 60 s")
    assert actions(*[SILENT] * 6, SERVES, SILENT)[-1] == "wait"


def test_requests_without_progress_are_a_hang_although_health_is_ok() -> None:
    assert watch(*[BUSY] * 4)[-1] == Decision("restart", "2 requests made no progress for 30 s")
    assert actions(BUSY, BUSY, BUSY, serves(steps=6, requests=2), BUSY)[-1] == "wait"


def test_an_idle_time_before_a_request_does_not_count_as_a_hang() -> None:
    assert actions(SERVES, SERVES, BUSY, BUSY, BUSY) == ["wait"] * 5


def test_a_missing_metrics_page_says_nothing_about_progress() -> None:
    assert set(actions(*[replace(BUSY, engines=None)] * 20)) == {"wait"}


def test_a_paused_server_and_an_engine_that_is_away_are_waited_for() -> None:
    away = [replace(EXITED, state="paused"), replace(EXITED, state="unknown")] * 20
    assert set(actions(*[SILENT] * 5, *away, *[SILENT] * 5)) == {"wait"}


def test_a_start_of_somebody_else_is_followed_until_it_serves() -> None:
    decision, history = decide(POLICY, BEGAN, replace(SILENT, started="second"))
    assert decision.action == "follow"
    assert (
        decide(POLICY, history.followed(50, "second"), replace(SERVES, at=51, started="second"))[0].action
        == "wait"
    )


def test_a_supervision_follows_a_loading_server_and_judges_one_that_answers() -> None:
    for seen, action in ((SILENT, "follow"), (SERVES, "wait"), (DEAD, "wait")):
        assert decide(POLICY, begin(0, seen), seen)[0].action == action
    late = replace(DEAD, at=10)
    assert decide(POLICY, decide(POLICY, begin(0, DEAD), DEAD)[1], late)[0].action == "restart"


def test_a_removed_container_ends_the_supervision() -> None:
    assert actions(replace(EXITED, state="gone")) == ["end"]


def test_too_many_restarts_in_a_row_are_given_up_with_the_reason() -> None:
    history = BEGAN
    for _ in range(3):
        assert decide(POLICY, history, EXITED)[0].action == "restart"
        history = history.restarted(0, "again")
    assert decide(POLICY, history, EXITED)[0] == Decision(
        "give up", "it exited with 0, after 3 restarts in a row"
    )


def test_serving_for_long_forgets_earlier_restarts() -> None:
    history = replace(BEGAN, restarts=3)
    _, history = decide(POLICY, history, replace(SERVES, at=99))
    assert history.restarts == 3
    _, history = decide(POLICY, history, replace(SERVES, at=100))
    assert decide(POLICY, history, replace(EXITED, at=101))[0].action == "restart"


@given(st.integers(0, 10_000))
def test_the_delay_doubles_up_to_its_limit(restarts: int) -> None:
    delay = POLICY.delay(restarts)
    assert POLICY.first_delay <= delay <= POLICY.longest_delay
    assert delay in (2 * POLICY.delay(restarts - 1), POLICY.longest_delay) or restarts == 0
