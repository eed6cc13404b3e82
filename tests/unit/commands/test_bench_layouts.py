"""What `invoke bench --layouts` does around its measurements. Without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commands import bench
from commands.bench_layouts import LayoutsBench
from errors import SlipwayError
from launch.bench.layouts.options import LayoutsOptions
from launch.operations import stopped_servers
from tests.unit.launch.plan_builders import M2, TINY

CLIENT: Any = None  # no test needs an engine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path


def layouts_bench(folder: Path, preset: str = "chat", scale: float = 1.0, **asked: Any) -> LayoutsBench:
    options = LayoutsOptions(layouts=True, stop_server=True, platform="cpu", **asked)

    def workload(container: Any) -> Any:
        return bench._workload(container, preset, scale, options.model)

    return LayoutsBench(CLIENT, options, workload, folder, 3600, "text")


@pytest.mark.parametrize(
    ("preset", "asked", "message"),
    [
        ("chatt", {"model": TINY}, "unknown preset 'chatt'"),
        ("chat", {"model": "nobody/nothing"}, "unknown model 'nobody/nothing'"),
        ("chat", {"model": TINY, "gpus": "0,1"}, "layouts are compared for a number of GPUs"),
        ("chat", {"model": M2}, "is not in the cache"),
    ],
)
def test_no_server_is_stopped_for_a_request_that_cannot_work(
    state: Path, monkeypatch: pytest.MonkeyPatch, preset: str, asked: dict[str, Any], message: str
) -> None:
    def stop(*_: object) -> None:
        pytest.fail("the servers were stopped")

    monkeypatch.setattr(stopped_servers, "without_servers", stop)
    with pytest.raises(SlipwayError, match=message):
        layouts_bench(state, preset, **asked).report()
