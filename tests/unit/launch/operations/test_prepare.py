"""Image and weights are provided at the same time, and the failure of one ends the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from errors import Failed
from launch.engine import images
from launch.operations import prepare as prepare_module
from launch.operations.events import Events
from launch.operations.launch_options import LaunchOptions
from launch.operations.prepare import prepare
from launch.spec.plan import Mount
from launch.spec.plan_options import PlanOptions
from launch.weights.progress import TransferProgress
from launch.weights.snapshot import Snapshot
from tests.unit.launch.plan_builders import M2, plan

OPTIONS = PlanOptions(M2)
PLAN = plan(M2, "h200", 4)
MISSING = Failed("the weights are not complete", fix="invoke fetch")


class Engine:
    """The parts of `launch.engine.images` that prepare() uses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
        self.pulled: list[str] = []
        self.error: Failed | None = None
        monkeypatch.setattr(images, "find", lambda client, reference: object() if here else None)
        monkeypatch.setattr(images, "inspect", lambda client, reference: None)
        monkeypatch.setattr(images, "pull", self._pull)

    def _pull(self, client: Any, reference: str, show: Callable[..., None]) -> None:
        self.pulled.append(reference)
        if self.error:
            raise self.error


def missing(model: str, revision: str, digest: str) -> None:
    raise MISSING


def complete(model: str, revision: str, digest: str) -> Snapshot:
    """The weights are here."""
    return Snapshot(model, revision, revision, Path("/hub"), 3, 10, verified="2026-11-27T10:00:00Z")


class Notes(Events):
    """Events that keep the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_prepare_refuses_missing_weights_before_it_pulls_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, here=False)
    monkeypatch.setattr(prepare_module, "require_complete", missing)
    with pytest.raises(Failed, match="not complete"):
        prepare(None, PLAN, OPTIONS, LaunchOptions(), Events())  # type: ignore[arg-type]
    assert engine.pulled == []


def test_prepare_names_the_command_that_fetches_the_commit_of_the_plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--MiniMaxAI--MiniMax-M2" / "refs").mkdir(parents=True)
    (tmp_path / "models--MiniMaxAI--MiniMax-M2" / "refs" / "main").write_text("b" * 40)
    pinned = replace(PLAN, commit="a" * 40)
    with pytest.raises(Failed, match=r"MiniMaxAI/MiniMax-M2 at aaaaaaaaaaaa is not in the cache") as failed:
        prepare(None, pinned, OPTIONS, LaunchOptions(), Events())  # type: ignore[arg-type]
    assert failed.value.fix == f"invoke fetch {M2} --revision {'a' * 40}"


def test_prepare_pulls_a_missing_image(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, here=False)
    monkeypatch.setattr(prepare_module, "require_complete", complete)
    prepare(None, PLAN, OPTIONS, LaunchOptions(), Events())  # type: ignore[arg-type]
    assert engine.pulled == [PLAN.image]


def test_prepare_does_nothing_if_image_and_weights_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, here=True)
    monkeypatch.setattr(prepare_module, "require_complete", complete)
    prepare(None, PLAN, OPTIONS, LaunchOptions(fetch=True), Events())  # type: ignore[arg-type]
    assert engine.pulled == []


def test_prepare_says_when_the_weights_were_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(monkeypatch, here=True)
    monkeypatch.setattr(prepare_module, "require_complete", complete)
    events = Notes()
    prepare(None, PLAN, OPTIONS, LaunchOptions(), events)  # type: ignore[arg-type]
    assert "weights: 3 files, last verified 2026-11-27T10:00:00Z, unchanged since" in events.notes


def test_prepare_stops_the_fetch_when_the_image_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, here=False)
    engine.error = Failed("cannot pull the image")
    monkeypatch.setattr(prepare_module, "require_complete", missing)
    pause = threading.Event()

    def fetch_model(
        model: str, on_progress: Callable[[TransferProgress], None], **options: str | None
    ) -> None:
        for _ in range(1000):  # ten seconds, unless on_progress() raises
            on_progress(TransferProgress())
            pause.wait(0.01)
        raise AssertionError("the fetch went on to its end")

    monkeypatch.setattr(prepare_module, "fetch_model", fetch_model)
    with pytest.raises(Failed, match="cannot pull the image"):
        prepare(None, PLAN, OPTIONS, LaunchOptions(fetch=True), Events())  # type: ignore[arg-type]


def test_prepare_needs_no_weights_in_the_cache_for_a_local_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(monkeypatch, here=True)
    monkeypatch.setattr(prepare_module, "require_complete", missing)
    process = replace(PLAN.processes[0], argv=("vllm", "serve", "/model"))
    container = replace(PLAN.container, mounts=(Mount("/home/me/m", "/model"),))
    local = replace(PLAN, processes=(process,), container=container)
    prepare(None, local, OPTIONS, LaunchOptions(), Events())  # type: ignore[arg-type]
