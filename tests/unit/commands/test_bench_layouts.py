"""What `invoke bench --layouts` does around its measurements. Without an engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands import bench
from commands.bench_layouts import LayoutsBench
from errors import SlipwayError
from launch.bench.layouts.options import LayoutsOptions
from launch.bench.layouts.trial import Start
from launch.operations import bench_layouts, stopped_servers
from launch.operations.bench_layouts import Offer, offer
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

    return LayoutsBench(options, workload, folder, 3600, "text")


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
        layouts_bench(state, preset, **asked).report(CLIENT)


@dataclass
class Host:
    """A host without an engine: the image is built in an hour, and each start takes a minute."""

    now: float = 0.0
    image: str = ""
    starts: list[str] = field(default_factory=list)

    @contextmanager
    def without_servers(self, *_: object) -> Iterator[None]:
        yield

    def prepare(self, *_: object) -> None:
        self.now, self.image = self.now + 3600, "sha256:built"

    def offer(self, options: Any) -> Offer:
        found = offer(options)
        plans = [
            (replace(plan, image_source=replace(plan.image_source, id=self.image)), gpus)
            for plan, gpus in found.layouts
        ]
        return Offer(found.gpus, tuple(plans))

    def measure(self, trial: Any, users: tuple[int, ...], repeats: int) -> Start:
        if not self.image:
            self.prepare()
        self.now += 60
        self.starts.append(trial.layout)
        return Start({count: 100.0 * count if trial.layout == "TP1" else 50.0 * count for count in users})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, state: Path) -> Host:
    host = Host()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr(stopped_servers, "without_servers", host.without_servers)
    monkeypatch.setattr("commands.bench_layouts.time", SimpleNamespace(monotonic=lambda: host.now))
    for name, stand_in in {"check": lambda _: None, "prepare": host.prepare, "offer": host.offer}.items():
        monkeypatch.setattr(bench_layouts, name, stand_in)
    monkeypatch.setattr(bench_layouts.LayoutBench, "measure", host.measure)
    return host


def remembered(state: Path) -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(state.rglob("layouts/*.json"))]


def test_the_build_of_the_image_is_not_the_length_of_a_start(host: Host, state: Path) -> None:
    layouts_bench(state, model=TINY, gpus="2").report(CLIENT)
    assert host.starts == ["TP2", "TP2+EP", "DP2+EP", "TP1"]


def test_the_layout_is_remembered_for_the_image_that_was_built(host: Host, state: Path) -> None:
    layouts_bench(state, model=TINY, gpus="2").report(CLIENT)
    (found,) = remembered(state)
    assert (found["layout"], found["subject"]["image"]) == ("TP1", "sha256:built")


@pytest.mark.parametrize(
    ("preset", "scale", "users"),
    [
        ("chat", 1, (1, 5, 32)),
        ("guide-rocm", 1, (1, 4, 16)),  # it sends its 16 requests at once
        ("guide-rocm", 0.1, (1, 2, 4)),
    ],
)
def test_the_most_users_are_those_that_the_preset_sends_at_once(
    state: Path, preset: str, scale: float, users: tuple[int, ...]
) -> None:
    assert layouts_bench(state, preset, scale, model=TINY).users == users


def test_the_scale_and_the_settings_are_remembered(host: Host, state: Path) -> None:
    settings = (("--max-num-seqs", "8"),)
    layouts_bench(state, "chat", 0.1, model=TINY, gpus="2", settings=settings).report(CLIENT)
    (found,) = remembered(state)
    assert (found["scale"], found["subject"]["settings"]) == (0.1, ["--max-num-seqs=8"])
