from launch.engine.limits import Limits


def test_limits_that_nobody_set_are_not_sent():
    assert Limits().arguments() == {}


def test_a_memory_limit_leaves_no_swap_to_crawl_in():
    assert Limits(memory="64g").arguments() == {"mem_limit": "64g", "memswap_limit": "64g"}


def test_a_restart_policy_is_a_choice():
    assert Limits(restart="on-failure", pids=9).arguments() == {
        "restart_policy": {"Name": "on-failure"},
        "pids_limit": 9,
    }


def test_a_command_line_has_the_same_limits():
    assert Limits().flags() == ()
    assert Limits("64g", 9, "always").flags() == (
        *("--restart=always", "--memory=64g", "--memory-swap=64g", "--pids-limit=9"),
    )
