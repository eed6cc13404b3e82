"""Machines of `--compare`, and the users that a plan holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from errors import Refused
from launch.planning.capacity import Machine, machines, users
from launch.spec.gpu_catalog import catalog
from launch.spec.plan import Fit, Layout
from tests.unit.launch.plan_builders import M2, plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h200x4", Machine("h200", 4)),
        ("H200X4", Machine("h200", 4)),
        ("h200", Machine("h200")),
        ("8xh200", Machine("h200", 8)),
        ("h200x8x2", Machine("h200", 8, 2)),
        ("mi300x8", Machine("mi300x", 8)),
        ("mi300xx8", Machine("mi300x", 8)),
        ("8xmi300x", Machine("mi300x", 8)),
        ("mi300x", Machine("mi300x")),
        ("mi300x8x2", Machine("mi300x", 8, 2)),
        ("gb200x4", Machine("gb200", 4)),
        ("cpux2", Machine("cpu", 2)),
        ("5090x2", Machine("rtx_5090", 2)),
        ("rtx-pro-6000x4x2", Machine("rtx_pro_6000", 4, 2)),
    ],
)
def test_machine_is_read_and_named(text: str, expected: Machine) -> None:
    assert machines(text, catalog()) == (expected,)
    assert machines(expected.name, catalog()) == (expected,)


def test_machines_are_a_list_without_repetition() -> None:
    assert [one.name for one in machines(" h200x4, h200x8 ,h200x4", catalog())] == ["h200x4", "h200x8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h2000x8", "unknown hardware 'h2000'. Did you mean `h200`"),
        ("h200x0", "GPUs and nodes must be integers from 1 to 99,999"),
        ("h200x-1", "unknown hardware"),
        ("h200x8x", "unknown hardware"),
        ("h200x999999", "GPUs and nodes must be integers from 1 to 99,999"),
        ("h200x8x2x2", "GPUs and nodes must be integers from 1 to 99,999"),
        ("", "takes 1 to 32 machines"),
        (",,,", "takes 1 to 32 machines"),
        (",".join(f"h200x{n}" for n in range(1, 40)), "takes 1 to 32 machines"),
    ],
)
def test_what_is_not_a_machine_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refused, match="--compare") as refused:
        machines(text, catalog())
    assert message in refused.value.what


def held(tokens: int | None, longest: int | None, dp: int = 1, *settings: tuple[str, str]) -> int | None:
    made = plan(M2, "h200", 8, strategy="single_node_tp", settings=settings)
    fit = Fit("fits", None, tokens, longest)
    return users(replace(made, fit=fit, layout=Layout(dp=dp)), 1000)


def test_each_replica_holds_whole_requests() -> None:
    assert held(1999, 5000, dp=4) == 4
    assert held(999, 5000) == 0


def test_users_are_not_known_without_an_estimate() -> None:
    assert held(None, None) is None


def test_a_context_that_is_longer_than_the_longest_holds_no_user() -> None:
    assert held(10_000, 999) == 0


def test_max_num_seqs_limits_each_replica() -> None:
    assert held(100_000, 5000, 2, ("--max-num-seqs", "16")) == 32
