"""Limits as arguments of the SDK and as options of `docker run`."""

from launch.engine.limits import Limits


def test_arguments_are_empty_without_limits() -> None:
    assert Limits().arguments() == {}


def test_a_memory_limit_excludes_swap() -> None:
    assert Limits(memory="64g").arguments() == {"mem_limit": "64g", "memswap_limit": "64g"}


def test_arguments_contain_the_restart_policy() -> None:
    assert Limits(restart="on-failure", pids=9).arguments() == {
        "restart_policy": {"Name": "on-failure"},
        "pids_limit": 9,
    }


def test_flags_contain_the_same_limits() -> None:
    assert Limits().flags() == ()
    assert Limits("64g", 9, "always").flags() == (
        *("--restart=always", "--memory=64g", "--memory-swap=64g", "--pids-limit=9"),
    )
