"""A stand-in server for each test, and one function that tests it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from launch.acceptance.connect import connect
from launch.acceptance.run import Runner, chosen
from launch.acceptance.types import ItemResult
from tests.acceptance.stand_in import StandIn, serve

Accept = Callable[..., dict[str, ItemResult]]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with serve(StandIn()) as state:
        yield state


@pytest.fixture
def accept(server: StandIn) -> Accept:
    """Run the named items, or all, against the stand-in; return their results by name."""

    def run(*names: str, seconds: float = 20, quick: bool = False) -> dict[str, ItemResult]:
        target = connect(server.url, key=server.key, sampling={"top_p": 0.95, "top_k": 40})
        results = Runner(target, seconds, quick).results(chosen(names, quick))
        return {result.name: result for result in results}

    return run
