"""Time for open requests when a pod ends."""

from __future__ import annotations

from dataclasses import replace

from launch.deploy.drain import draining
from launch.render.pod import pod_spec
from tests.unit.launch.plan_builders import M2, plan


def test_a_server_gets_time_for_open_requests_and_its_pod_more_than_that() -> None:
    made = draining(plan(M2, "h200", 4))
    assert made.processes[0].argv[-2:] == ("--shutdown-timeout", "60")
    assert pod_spec(made, made.processes[0])["terminationGracePeriodSeconds"] == 5 + 60 + 15


def test_all_processes_of_a_group_get_it() -> None:
    made = draining(plan(M2, "h200", 8, 2))
    assert {process.argv[-1] for process in made.processes} == {"60"}


def test_a_time_of_the_user_stays() -> None:
    own = plan(M2, "h200", 4, settings=(("--shutdown-timeout", "5"),))
    assert draining(own) == own


def test_a_vllm_without_the_option_stays_as_it_is() -> None:
    old = replace(plan(M2, "h200", 4), vllm_version="0.11.0")
    assert draining(old) == old
