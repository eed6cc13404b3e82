"""An engine that keeps GPUs back is found out at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from errors import Failed
from launch.presence import check, expected
from tests.unit.launch.planmaking import plan

Inside = Callable[[list[str]], tuple[int, str]]
NODES = ("/dev/dri/renderD128", "/dev/dri/renderD136")


def having(*names: str, status: int = 0) -> Inside:
    """A container in which `ls` shows these names."""
    return lambda argv: (status, "\n".join(names))


def test_all_gpus_are_there() -> None:
    check(plan(gpus=4), having("null", "nvidia0", "nvidia1", "nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"))


def test_a_request_that_was_ignored() -> None:
    with pytest.raises(Failed, match="0 of the 4 GPUs") as failure:
        check(plan(gpus=4), having("null", "zero", "nvidiactl"))
    assert "podman" in failure.value.why


def test_all_means_those_of_the_layout() -> None:
    made = plan(gpus=8, strategy="single_node_dep")
    assert made.container.gpu_ids == ("all",)
    assert expected(made) == 8


def test_what_cannot_be_asked_is_no_failure() -> None:
    check(plan(gpus=4), having("sh: ls: not found", status=127))
    check(plan(gpus=4), having("dxg", "null"))


def test_render_nodes_that_did_not_arrive() -> None:
    made = plan(hardware="mi300x", gpus=2, facts={"devices": NODES, "groups": ("44",)})
    check(made, having("/dev/kfd", *NODES))
    with pytest.raises(Failed, match="lacks /dev/dri/renderD136"):
        check(made, having("/dev/kfd", NODES[0]))


def test_cpu_needs_nothing() -> None:
    def never(argv: list[str]) -> tuple[int, str]:
        raise AssertionError(argv)

    check(plan("slipway/MiniMax-M2-tiny", "cpu", 1), never)
