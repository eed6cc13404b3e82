"""The arguments of the docker SDK for a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Refused
from launch.access import seccomp
from launch.engine.create_args import arguments
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import TINY, plan


def security_options(*options: str) -> list[str]:
    made: Plan = plan(TINY, "cpu")
    made = replace(made, container=replace(made.container, security_opt=options))
    return list(arguments(made, made.processes[0])["security_opt"])


def test_arguments_contain_the_seccomp_profile_itself() -> None:
    assert security_options(f"seccomp={seccomp.PROFILE}") == [f"seccomp={seccomp.as_json()}\n"]


@pytest.mark.parametrize("option", ["no-new-privileges", "seccomp=unconfined", "seccomp={}"])
def test_arguments_keep_other_security_options(option: str) -> None:
    assert security_options(option) == [option]


def test_arguments_refuse_a_seccomp_profile_that_cannot_be_read() -> None:
    with pytest.raises(Refused, match=r"cannot read the seccomp profile '/no/such/file.json'"):
        security_options("seccomp=/no/such/file.json")
