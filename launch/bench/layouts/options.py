"""The options of a benchmark of layouts."""

from __future__ import annotations

from dataclasses import dataclass

from launch.spec.option import option
from launch.spec.plan_options import PLATFORMS, Pairs, flags

GOALS = ("balance", "latency", "throughput")
_GROUP = "Layouts"


@dataclass(frozen=True)
class LayoutsOptions:
    """Which layouts of which model are measured, and what for."""

    layouts: bool = option(
        False, "start the layouts of a model one after another, and find the fastest", group=_GROUP
    )
    goal: str = option(
        "balance",
        "what to choose for: tokens a second with one user, with the most users, or both",
        choices=GOALS,
        group=_GROUP,
    )
    stop_server: bool = option(
        False, "stop the servers that run, and start them again at the end", group=_GROUP
    )
    model: str = option("", "model to start (default: that of `invoke plan`)", metavar="MODEL", group=_GROUP)
    platform: str = option(
        "",
        "platform to start it on (default: that of the GPUs of this host)",
        choices=PLATFORMS,
        group=_GROUP,
    )
    gpus: str = option(
        "", "number of GPUs, or of ranks on cpu (default: all)", metavar="NUMBER", group=_GROUP
    )
    variant: str = option("", "another checkpoint of the recipe", metavar="NAME", group=_GROUP)
    settings: Pairs = option(
        (),
        "set an option of vllm serve in all layouts",
        metavar="FLAG=VALUE",
        group=_GROUP,
        flag="set",
        parse=flags,
    )
