"""`--explain`: the reasons for one item of a plan."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.planning.explain import explain
from tests.unit.launch.plan_builders import M2, plan

MADE = plan(M2, "h200", 4, env=(("MY_NAME", "x"),), settings=(("--max-num-seqs", "64"),))


@pytest.mark.parametrize(
    ("asked", "item"),
    [
        ("--tensor-parallel-size", "--tensor-parallel-size 4"),
        ("tensor_parallel_size", "--tensor-parallel-size 4"),
        ("-tp", "--tensor-parallel-size 4"),
        ("tp", "--tensor-parallel-size 4"),
        ("--tensor-parallel-size=8", "--tensor-parallel-size 4"),
        ("HF_HUB_OFFLINE", "HF_HUB_OFFLINE=1"),
        ("MY_NAME", "MY_NAME=x"),
        ("cap-drop", "cap-drop ALL"),
        ("/dev/shm", "/dev/shm"),
        ("--shm-size", "/dev/shm"),
        ("tmpfs", "/tmp"),
        ("-p", "publish"),
        ("security_opt", "no-new-privileges"),
    ],
)
def test_an_item_is_explained_by_any_of_its_spellings(asked: str, item: str) -> None:
    (reason,) = explain(MADE, asked)
    assert reason.item == item
    assert reason.why
    assert reason.source


def test_every_flag_and_variable_of_a_plan_is_explained() -> None:
    process = MADE.processes[0]
    names = [word for word in process.argv if word.startswith("--")] + [name for name, _ in process.env]
    assert all(explain(MADE, name) for name in names)


def test_the_mounts_are_explained_together() -> None:
    assert [reason.item for reason in explain(MADE, "--volume")] == ["/hub", "/cache"]


def test_each_node_has_its_reason() -> None:
    items = {reason.item for reason in explain(plan(M2, "h200", 8, 2), "--data-parallel-start-rank")}
    assert items == {"--data-parallel-start-rank 8"}


def test_a_note_that_names_the_flag_is_shown() -> None:
    made = plan(M2, "h200", 4, settings=(("--reasoning-parser", "minimax_m2"),))
    assert any("replaces" in reason.why for reason in explain(made, "--reasoning-parser"))


@pytest.mark.parametrize("asked", ["--tensor-paralel-size", "HF_HUB_OFLINE", "tensor-parallel"])
def test_a_near_miss_names_the_item(asked: str) -> None:
    with pytest.raises(Refused, match="the plan has no") as refused:
        explain(MADE, asked)
    assert "Did you mean `" in refused.value.what
    assert refused.value.why


@pytest.mark.parametrize("asked", ["--no-such-thing-at-all", "", "-", "   "])
def test_an_unknown_item_is_refused(asked: str) -> None:
    with pytest.raises(Refused, match="the plan has no"):
        explain(MADE, asked)
