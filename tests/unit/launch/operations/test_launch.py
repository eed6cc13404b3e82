"""What a launch does after a failed start or after losing its GPUs. The engine and the server are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from errors import Refused
from launch.allocation.reservation import GpusTaken
from launch.diagnosis.types import Diagnosis
from launch.engine import client as engine_client
from launch.engine import containers
from launch.engine.limits import Limits
from launch.hardware.types import Hardware
from launch.operations import launch as operation
from launch.operations import prepare as preparation
from launch.operations.events import Events
from launch.operations.launch import launch
from launch.operations.launch_options import Fixes, LaunchOptions
from launch.serving.readiness import Ready
from launch.serving.server_exit import ServerExited
from launch.spec.plan import Plan, Process
from launch.spec.plan_options import PlanOptions
from tests.unit.launch.plan_builders import M2, plan

OPTIONS = PlanOptions(model=M2)
PLAN = plan(M2, "h200", 4)
SHORTER = Diagnosis(
    "kv-cache-too-small", "too long", change={"set": {"--max-model-len": "1024"}}, known=True, safe=True
)


class Recorded(Events):
    """Keep the notes, and give one answer to every question."""

    def __init__(self, agrees: bool = False) -> None:
        self.notes: list[str] = []
        self.questions: list[str] = []
        self.agrees = agrees

    def note(self, text: str) -> None:
        self.notes.append(text)

    def confirm(self, question: str) -> bool:
        self.questions.append(question)
        return self.agrees


class Host:
    """A host whose starts end as `results` says: a Ready, or the error that is raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *results: Ready | Exception) -> None:
        self.results = list(results)
        self.started: list[tuple[Plan, bool]] = []
        self.plan = PLAN
        self.running: Any = None
        self.taken: list[GpusTaken] = []
        monkeypatch.setattr(engine_client, "connect", SimpleNamespace)
        monkeypatch.setattr(operation, "plan_of", lambda options, image: self.plan)
        monkeypatch.setattr(operation, "prepare", lambda *arguments: None)
        monkeypatch.setattr(operation, "image_of", lambda *arguments: None)
        monkeypatch.setattr(containers, "must_start", lambda client, plan, replace: True)
        monkeypatch.setattr(containers, "start", self._start)
        monkeypatch.setattr(operation, "reserved", self._reserved)
        monkeypatch.setattr(operation, "wait_for_server", self._watched)

    @contextmanager
    def _reserved(self, *arguments: Any) -> Iterator[None]:
        if self.taken:
            raise self.taken.pop()
        yield

    def _start(self, client: Any, plan: Plan, limits: Any, replace: bool) -> tuple[Any, bool]:
        self.started.append((plan, replace))
        if self.running:
            return self.running, False
        return SimpleNamespace(name="slipway-m2", labels={"slipway.url": "http://127.0.0.1:8000"}), True

    def _watched(self, *arguments: Any) -> Ready:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path))
    return tmp_path / "state"


def ready() -> Ready:
    return Ready({"import": 1.0}, None, "a ramp")


def died(diagnosis: Diagnosis = SHORTER) -> ServerExited:
    return ServerExited("slipway-m2 exited with 1", diagnosis)


def test_launch_returns_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, ready())
    server = launch(OPTIONS)
    assert (server.name, server.url, server.started) == ("slipway-m2", "http://127.0.0.1:8000/v1", True)
    assert host.started == [(PLAN, False)]


def test_launch_applies_and_saves_a_safe_fix(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    host = Host(monkeypatch, died(), ready(), ready())
    server = launch(OPTIONS, LaunchOptions(fixes="auto"))
    assert server.plan.processes[0].argv[-2:] == ("--max-model-len", "1024")
    assert [replaces for _, replaces in host.started] == [False, True]
    assert launch(OPTIONS).plan.processes[0].argv[-2:] == ("--max-model-len", "1024")


def test_launch_saves_no_fix_that_did_not_help(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    Host(monkeypatch, died(), died())
    with pytest.raises(ServerExited):
        launch(OPTIONS, LaunchOptions(fixes="auto"))
    assert not (state / "fixes.jsonl").exists()


@pytest.mark.parametrize("agrees", [True, False])
def test_launch_asks_before_it_applies_a_fix(monkeypatch: pytest.MonkeyPatch, agrees: bool) -> None:
    host = Host(monkeypatch, died(), ready())
    events = Recorded(agrees)
    if agrees:
        launch(OPTIONS, LaunchOptions(fixes="ask"), events)
    else:
        with pytest.raises(ServerExited):
            launch(OPTIONS, LaunchOptions(fixes="ask"), events)
    assert len(events.questions) == 1
    assert any("--max-model-len 1024" in note for note in events.notes)
    assert len(host.started) == 1 + agrees


@pytest.mark.parametrize("fixes", ["report", "no"])
def test_launch_only_reports_a_failure(monkeypatch: pytest.MonkeyPatch, fixes: Fixes) -> None:
    host = Host(monkeypatch, died())
    events = Recorded(agrees=True)
    with pytest.raises(ServerExited):
        launch(OPTIONS, LaunchOptions(fixes=fixes), events)
    assert (events.questions, len(host.started)) == ([], 1)


@pytest.mark.parametrize("diagnosis", [replace(SHORTER, safe=False), replace(SHORTER, change=None)])
def test_launch_applies_only_a_safe_fix(monkeypatch: pytest.MonkeyPatch, diagnosis: Diagnosis) -> None:
    host = Host(monkeypatch, died(diagnosis))
    with pytest.raises(ServerExited):
        launch(OPTIONS, LaunchOptions(fixes="auto"))
    assert len(host.started) == 1


def test_launch_leaves_out_saved_fixes_if_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, died(), ready(), ready())
    launch(OPTIONS, LaunchOptions(fixes="auto"))
    assert launch(OPTIONS, LaunchOptions(fixes="no")).plan == PLAN


def test_launch_plans_again_if_another_launch_took_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, ready())
    host.taken = [GpusTaken("the GPUs were taken")]
    events = Recorded()
    launch(OPTIONS, events=events)
    assert "the GPUs were taken" in events.notes[0]
    assert len(host.started) == 1


def test_launch_plans_again_as_often_as_other_launches_took_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, ready())
    host.taken = [GpusTaken("the GPUs were taken")] * 3
    events = Recorded()
    launch(OPTIONS, events=events)
    assert len(events.notes) == 4
    assert len(host.started) == 1


def test_launch_fetches_nothing_if_the_name_or_the_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)

    def refuse(client: Any, plan: Plan, replace: bool) -> bool:
        raise Refused("port 8000 is taken")

    monkeypatch.setattr(containers, "must_start", refuse)
    monkeypatch.setattr(operation, "prepare", lambda *arguments: pytest.fail("weights are fetched"))
    with pytest.raises(Refused, match="port 8000"):
        launch(OPTIONS)
    assert host.started == []


def test_launch_does_not_wait_if_asked_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch)
    assert launch(OPTIONS, LaunchOptions(wait=False)).ready is None


def test_launch_refuses_a_plan_for_several_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    worker = Process("worker", 1, ("vllm", "serve"))
    host.plan = replace(PLAN, processes=(*PLAN.processes, worker))
    with pytest.raises(Refused, match="2 nodes"):
        launch(OPTIONS)


def test_launch_says_after_ctrl_c_that_the_server_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch)
    events = Recorded()

    def interrupted(*arguments: Any) -> Ready:
        raise KeyboardInterrupt

    monkeypatch.setattr(operation, "wait_for_server", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launch(OPTIONS, events=events)
    assert "continues to start" in events.notes[-1]


def test_launch_says_which_limits_a_running_server_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    host.running = SimpleNamespace(name="slipway-m2", labels={}, attrs={"HostConfig": {"Memory": 4 * 2**30}})
    events = Recorded()
    launch(OPTIONS, LaunchOptions(wait=False, limits=Limits("2g", "always")), events)
    assert "not applied: --memory 2g --restart always; --replace" in events.notes[-1]
    launch(OPTIONS, LaunchOptions(wait=False, limits=Limits("4096m")), events)
    assert "already running" in events.notes[-1]


def test_launch_refuses_named_hardware_that_this_host_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    monkeypatch.setattr(preparation, "detect", Hardware)
    with pytest.raises(Refused, match="'h200', and this host has no such GPU"):
        launch(replace(OPTIONS, hardware="h200"))
    assert host.started == []


def test_launch_shows_the_notes_of_a_plan_without_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    host, events = Host(monkeypatch), Recorded()
    host.plan = replace(host.plan, notes=("no recipe for m: planned from config.json of ./m", "TP1 is idle"))
    launch(OPTIONS, LaunchOptions(wait=False), events)
    assert events.notes[:2] == ["note: no recipe for m: planned from config.json of ./m", "note: TP1 is idle"]
