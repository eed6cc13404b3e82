"""What `invoke bench` is compared with, found before its first run, and what follows from its runs."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from commands.bench_comparison import Comparisons, comparisons, repeats
from commands.conclusions import end
from errors import Failed, Refused
from launch.bench.comparison_options import AgainstOptions, GateOptions
from launch.bench.history import Side
from launch.bench.record import Host, Record, json_line
from launch.bench.records import write
from tests.unit.launch.bench.group_data import VOID, runs, side

HERE = Host(name=platform.node(), hardware="h20", count=4)
ELSEWHERE = Host(name="elsewhere", hardware="h20", count=4)
OLD = runs("old", [100, 101, 99], host=HERE)
WORKLOAD = Side("old", OLD).workload
NEW = side("new", [84, 83, 85], host=HERE)


def here() -> str:
    return "4 x h20"


def no_more_runs() -> Record:
    raise AssertionError("no run is needed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "own"))
    for one in (*OLD, *runs("far", [50], host=ELSEWHERE, time="2027-01-01T00:00:00Z")):
        write(one, tmp_path / "results")
    return tmp_path / "results"


def against(name: str, folder: Path, workload: dict[str, str] = WORKLOAD) -> Side | None:
    return comparisons(AgainstOptions(against=name), GateOptions(), folder, workload, here).earlier


def test_last_is_the_newest_group_of_this_host_and_workload(folder: Path) -> None:
    found = against("last", folder)
    assert found and found.name == "old"


def test_without_an_earlier_run_last_is_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = {**WORKLOAD, "preset": "chat"}
    asked = comparisons(AgainstOptions(against="last"), GateOptions(), folder, other, here)
    *_, found = asked.conclusions(side("new", [84]), no_more_runs)
    end(found)
    assert "there is no earlier run of this workload" in caplog.text


def test_another_workload_is_refused_before_a_run(folder: Path) -> None:
    with pytest.raises(Refused, match="'old' and 'this benchmark' are different workloads") as refused:
        against("old", folder, {**WORKLOAD, "input_len": "82"})
    assert refused.value.why == "input_len 41 and 82"


def test_runs_that_are_void_are_refused_before_a_run(folder: Path) -> None:
    for one in runs("bad", [100], host=HERE, validity=VOID):
        write(one, folder)
    with pytest.raises(Refused, match="no run of 'bad' can be compared"):
        against("bad", folder)


def test_a_baseline_of_other_hardware_is_refused_before_a_run(folder: Path) -> None:
    path = folder / "baseline.jsonl"
    path.write_text("".join(f"{json_line(run)}\n" for run in OLD))
    with pytest.raises(Refused, match="was measured on other hardware") as refused:
        comparisons(AgainstOptions(), GateOptions(gate=str(path)), folder, WORKLOAD, lambda: "8 x h20")
    assert refused.value.why == "4 x h20, and now 8 x h20"


@pytest.mark.parametrize(("given", "expected"), [(1, 5), (4, 4), (9, 9)])
def test_noise_is_measured_from_five_runs_unless_told_otherwise(given: int, expected: int) -> None:
    assert repeats(AgainstOptions(noise=True), given) == expected
    assert repeats(AgainstOptions(), given) == given


@pytest.mark.parametrize("given", [2, 3])
def test_too_few_runs_for_the_noise_are_refused(given: int) -> None:
    with pytest.raises(Refused, match=f"--noise needs --repeat 4 or more \\(got '{given}'\\)"):
        repeats(AgainstOptions(noise=True), given)


def test_several_runs_end_with_spread_comparison_and_gate(folder: Path) -> None:
    path = folder / "baseline.jsonl"
    path.write_text("".join(f"{json_line(run)}\n" for run in OLD))
    asked = comparisons(AgainstOptions(against="old"), GateOptions(gate=str(path)), folder, WORKLOAD, here)
    found = list(asked.conclusions(NEW, no_more_runs))
    assert [list(one.data) for one in found] == [["summary"], ["guide"], ["comparison"], ["gate"]]
    assert "84     ±1.2%" in found[0].text
    assert isinstance(found[-1].error, Failed)
    with pytest.raises(Failed, match="slower than the baseline"):
        end(found[-1])


def test_nothing_follows_from_void_runs() -> None:
    asked = Comparisons(AgainstOptions(against="last", noise=True), GateOptions())
    assert list(asked.conclusions(side("new", [84, 83], validity=VOID), no_more_runs)) == []
