"""Find recorded runs by name, file and order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from errors import Refused
from launch.bench.history import Side, find_side, groups, newest, previous, side_of_file
from launch.bench.record import Record, json_line
from tests.unit.launch.bench.group_data import VOID, load, runs, server

LINE = json_line(runs("g", [100])[0])


def at(minute: int, made: tuple[Record, ...]) -> tuple[Record, ...]:
    return tuple(
        run.model_copy(update={"time": run.time.replace("10:00", f"10:{minute:02}")}) for run in made
    )


A = at(1, runs("aaaa1111", [100, 101]))
VOIDED = at(2, runs("aabb2222", [400], validity=VOID))
OTHER = at(3, runs("cccc3333", [50], preset="chat", server=server(name="other")))
NEW = at(4, runs("dddd4444", [90, 91]))
KNOWN = groups([*NEW, *OTHER, *VOIDED, *A])


def file(path: Path, *records: Record) -> Path:
    path.write_text("".join(f"{json_line(one)}\n" for one in records))
    return path


def test_groups_are_the_oldest_first_with_their_repeats_in_order() -> None:
    assert [side.name for side in KNOWN] == ["aaaa1111", "aabb2222", "cccc3333", "dddd4444"]
    assert [run.id for run in KNOWN[0].runs] == ["aaaa1111-1", "aaaa1111-2"]


def test_a_run_that_is_read_twice_counts_once() -> None:
    assert [len(side.runs) for side in groups([*A, *A])] == [2]


def test_previous_is_the_newest_older_group_of_the_workload_with_a_usable_run() -> None:
    assert previous(KNOWN[3], KNOWN) == KNOWN[0]
    assert previous(KNOWN[0], KNOWN) is None
    assert newest(KNOWN, KNOWN[0].workload) == KNOWN[3]
    assert newest(KNOWN, {"model": "other"}) is None


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("last", ["dddd4444-1", "dddd4444-2"]),
        ("aaaa1111", ["aaaa1111-1", "aaaa1111-2"]),
        ("aaaa", ["aaaa1111-1", "aaaa1111-2"]),
        ("aaaa1111-2", ["aaaa1111-2"]),
        ("slipway-minimax-m2", ["dddd4444-1", "dddd4444-2"]),
        ("aaaa1111,dddd4444", ["aaaa1111-1", "aaaa1111-2", "dddd4444-1", "dddd4444-2"]),
        ("aaaa, aaaa1111-1", ["aaaa1111-1", "aaaa1111-2"]),
    ],
)
def test_find_side_by_group_start_of_a_group_run_server_or_several(text: str, ids: list[str]) -> None:
    assert [run.id for run in find_side(text, KNOWN).runs] == ids


def test_find_side_reads_a_file_of_several_groups(tmp_path: Path) -> None:
    path = file(tmp_path / "baseline.jsonl", *A, *NEW)
    assert len(find_side(str(path), KNOWN).runs) == 4
    assert find_side(str(path), []).starts == ("c1@1",)


def test_a_file_in_the_working_folder_needs_no_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file(tmp_path / "baseline", *A).parent)
    assert len(find_side("baseline", KNOWN).runs) == 2


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("aa", "'aa' is the start of 2 groups", "aaaa1111, aabb2222"),
        ("aaaa1112", "unknown run 'aaaa1112'. Did you mean `aaaa1111`?", ""),
        ("nope", "unknown run 'nope'", ""),
        ("", "unknown run ''", ""),
        ("last,", "unknown run ''", ""),
        ("x" * 5000, "unknown run 'xxx", ""),
        ("a\0b", "unknown run", ""),
        (
            "aaaa,cccc",
            "'run aaaa1111-1' and 'run cccc3333-1' are different workloads",
            "preset guide-cuda and chat",
        ),
        ("absent.jsonl", "cannot read 'absent.jsonl'", "No such file or directory"),
        ("/", "cannot read '/'", "Is a directory"),
    ],
)
def test_a_name_that_stands_for_nothing_is_one_clear_error(text: str, what: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        find_side(text, KNOWN)
    assert refused.value.what.startswith(what)
    assert refused.value.why == why


def test_without_records_the_error_says_so() -> None:
    for text in ("nope", "last"):
        with pytest.raises(Refused) as refused:
            find_side(text, [])
        assert "there are no recorded runs" in f"{refused.value.what} {refused.value.why}"
        assert refused.value.fix == "invoke bench"


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(LINE), **values})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not a record of `invoke bench`"),
        ("[]", "is not a record of `invoke bench`"),
        ("{}", "is not a record of `invoke bench`"),
        ("\x00\xff", "is not a record of `invoke bench`"),
        (LINE[:200], "is not a record of `invoke bench`"),
        (changed(schema=2), "is a record of a newer Slipway"),
        (
            f"{LINE}\n{changed(id='2', server={**json.loads(LINE)['server'], 'model': 'a/b'})}",
            "different workloads",
        ),
        (f"{LINE}\n{changed(id='2', load={})}", "different workloads"),
    ],
)
def test_a_file_that_is_not_one_workload_of_records_is_refused(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(Refused) as refused:
        side_of_file(str(path))
    assert what in refused.value.what
    assert "\n" not in f"{refused.value.what}{refused.value.why}"


def test_half_a_line_at_the_end_of_a_file_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(f"{LINE}\n{LINE[:300]}")
    assert len(side_of_file(str(path)).runs) == 1


def test_usable_runs_are_complete_and_not_void() -> None:
    both = Side("s", (*A, *VOIDED, *runs("i", [1], status="interrupted", load=load())))
    assert both.usable == A
