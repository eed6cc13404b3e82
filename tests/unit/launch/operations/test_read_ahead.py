"""A launch reads the weights of its plan ahead while it waits, and stops with the wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from launch.operations import read_ahead
from launch.operations.events import Events
from launch.operations.read_ahead import GIB, reading_ahead, weights_of
from launch.spec.plan import Plan
from tests.unit.launch.plan_builders import M2, TINY, plan


class Notes(Events):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Reader:
    """In place of a ReadAhead: it records what it was made with and whether it was stopped."""

    made: ClassVar[list[Reader]] = []

    def __init__(self, files: tuple[Path, ...], needed: int, limit: int) -> None:
        self.files, self.needed, self.limit, self.stopped = files, needed, limit, False
        self.made.append(self)

    def start(self) -> str:
        return "reading ahead"

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Reader]:
    monkeypatch.setattr(read_ahead, "ReadAhead", Reader)
    monkeypatch.setattr(read_ahead, "weights_of", lambda plan: tmp_path)
    monkeypatch.setattr(Reader, "made", [])
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    return Reader.made


def test_it_reads_during_the_wait_and_stops_after_it(readers: list[Reader], tmp_path: Path) -> None:
    events = Notes()
    with reading_ahead(plan(M2, "h200", 4), "64g", events):
        assert [one.stopped for one in readers] == [False]
    assert readers[0].stopped
    assert (readers[0].files, readers[0].limit) == ((tmp_path / "model.safetensors",), 64 * GIB)
    assert events.notes == ["weights: reading ahead"]


def test_it_stops_if_the_start_fails(readers: list[Reader]) -> None:
    with pytest.raises(KeyboardInterrupt), reading_ahead(plan(M2, "h200", 4), "", Notes()):
        raise KeyboardInterrupt
    assert readers[0].stopped


@pytest.mark.parametrize(
    ("model", "hardware", "gpus", "needed"), [(M2, "h200", 4, 16 * GIB), (TINY, "cpu", 1, 2 * GIB + 1000)]
)
def test_a_server_on_a_cpu_needs_a_copy_of_the_weights(
    model: str, hardware: str, gpus: int, needed: int, readers: list[Reader]
) -> None:
    with reading_ahead(plan(model, hardware, gpus), "", Notes()):
        assert readers[0].needed == needed


def test_nothing_happens_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places: list[Any] = [None, tmp_path, tmp_path / "nowhere"]
    for place in places:

        def found(plan: Plan, place: Path | None = place) -> Path | None:
            return place

        monkeypatch.setattr(read_ahead, "weights_of", found)
        events = Notes()
        with reading_ahead(plan(M2, "h200", 4), "", events):
            assert events.notes == []


def test_weights_of_is_the_snapshot_of_the_plans_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert weights_of(plan(M2, "h200", 4)) is None
    refs = tmp_path / "models--MiniMaxAI--MiniMax-M2/refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40)
    assert weights_of(plan(M2, "h200", 4)) == refs.parent / "snapshots" / ("a" * 40)


def test_a_start_does_not_fail_because_of_it(readers: list[Reader], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Reader) -> str:
        raise PermissionError("no")

    monkeypatch.setattr(Reader, "start", fail)
    events = Notes()
    with reading_ahead(plan(M2, "h200", 4), "", events):
        assert events.notes == []
    assert readers[0].stopped
