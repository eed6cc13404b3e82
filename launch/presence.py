"""After the start: does the container have the GPUs that it was given?

podman's Docker socket drops NVIDIA device requests without a word, and the container comes up without a GPU; vLLM
would say so minutes later, as something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from errors import Failed
from launch.plan import Container, Plan

Execute = Callable[[list[str]], tuple[int, str]]  # argv in the container -> exit status and output


def expected(plan: Plan) -> int:
    """How many NVIDIA GPUs the container of one node must see; 0 where none was asked for or the image sees all."""
    ids = plan.container.gpu_ids
    if not ids or plan.container.privileged:
        return 0
    return max(1, plan.layout.gpus // plan.layout.nodes) if ids == ("all",) else len(ids)


def seen(listing: str) -> int:
    """NVIDIA GPUs among the names of a /dev folder (nvidia0, not nvidiactl; dxg is WSL's only one)."""
    names = listing.split()
    return len({name for name in names if re.fullmatch(r"nvidia[0-9]+", name)})


def missing_nodes(container: Container, listing: Sequence[str]) -> list[str]:
    """Devices of a plan that are not among the paths that exist in the container."""
    return [device for device in container.devices if device not in listing]


def check(plan: Plan, execute: Execute) -> None:
    """Raises Failed where GPUs or devices of the plan are not in its running container."""
    wanted = expected(plan)
    if wanted:
        status, listing = execute(["ls", "/dev"])
        if status == 0 and "dxg" not in listing.split() and (have := seen(listing)) < wanted:
            raise Failed(
                f"the container has {have} of the {wanted} GPUs that it was to get",
                why="the engine ignored the device request, as podman's Docker socket does",
                fix="use Docker's own engine, or invoke plan --format quadlet (GPUs by CDI name)",
            )
    if plan.container.devices and not plan.container.privileged:
        _, listing = execute(["ls", "-d", *plan.container.devices])
        if lost := missing_nodes(plan.container, listing.split()):
            raise Failed(
                f"the container lacks {', '.join(lost)}",
                why="the engine did not hand over the devices of the plan",
                fix="invoke doctor",
            )
