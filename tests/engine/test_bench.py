"""A benchmark inside a server's container, left alone in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from launch.bench import run as bench_run


@pytest.fixture
def container(engine: Any, stand_in: str) -> Iterator[Any]:
    one = engine.containers.run(stand_in, entrypoint=["sleep", "600"], command=[], detach=True)
    yield one
    one.remove(force=True)


def leave(line: str) -> None:
    raise KeyboardInterrupt


def test_a_bench_that_is_left_ends(engine, container):
    load = ["sh", "-c", "echo benchmarking; exec sleep 300"]
    with pytest.raises(KeyboardInterrupt):
        bench_run.run(engine, container, load, 8000, leave)
    for _ in range(50):  # a signal takes a moment to arrive
        running = [row[-1] for row in container.top()["Processes"]]
        if running == ["sleep 600"]:
            return
    pytest.fail(f"still running: {running}")
