"""`invoke report`: the history as a table, comparisons of named runs, a gate, and wrong requests."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

from commands.report import report
from launch.bench.record import Host, Record, Remark, Validity, json_line
from launch.bench.records import write
from tests.unit.launch.bench.group_data import VOID, runs, server

HERE = Host(name=platform.node(), hardware="h20", count=4)
Report = Callable[..., str]


def at(minute: int, made: tuple[Record, ...]) -> list[Record]:
    return [run.model_copy(update={"time": run.time.replace("10:00", f"10:{minute:02}")}) for run in made]


RECORDS = [
    *at(0, runs("aaaa1111", [100, 101, 99], host=HERE)),
    *at(1, runs("bbbb2222", [83, 82, 84], host=HERE, server=server("c2@2", vllm="0.33.0"))),
    *at(2, runs("cccc3333", [300, 301], host=HERE, validity=VOID)),
    *at(3, runs("dddd4444", [84, 90], host=HERE)),
    *at(4, runs("eeee5555", [84], host=HERE, preset="chat")),
    *at(5, runs("ffff6666", [84], host=Host(name="elsewhere", hardware="h20", count=8))),
]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "own"))
    for one in RECORDS:
        write(one, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def out(results: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    def run(*names: str, **options: Any) -> str:
        context = Context(Config(defaults={"slipway": {}, "run": {"dry": False}}, lazy=True))
        report(context, runs=list(names), **{"results": str(results), **options})
        return capsys.readouterr().out

    return run


def baseline(folder: Path, group: str) -> str:
    path = folder.parent / f"{group}.jsonl"
    path.write_text("".join(f"{json_line(run)}\n" for run in RECORDS if run.group == group))
    return str(path)


def test_report_shows_the_groups_of_each_workload_with_spread_validity_and_comparison(out: Report) -> None:
    chat, _, guide = out().partition("\n\n")[::-1]
    assert [line.split()[:5] for line in guide.splitlines()[2:6]] == [
        ["aaaa1111", "2026-11-27", "10:00", "3", "good"],
        ["bbbb2222", "2026-11-27", "10:01", "3", "good"],
        ["cccc3333", "2026-11-27", "10:02", "2", "void"],
        ["dddd4444", "2026-11-27", "10:03", "2", "good"],
    ]
    assert "83     ±1.2%   12.05    12.05    0.830  0.806 to 0.854  slower" in guide
    assert "changed from aaaa1111 to bbbb2222: vLLM: - -> 0.33.0" in guide
    assert "2 runs of 'cccc3333' not compared: 2 void: 94 % of prompts were cached" in guide
    assert chat.startswith("MiniMaxAI/MiniMax-M2, chat: ")


def test_report_compares_with_the_newest_usable_group_and_tells_how_many_repeats_would_tell(
    out: Report,
) -> None:
    groups = {one["name"]: one for one in json.loads(out(format="json"))["groups"]}
    assert groups["dddd4444"]["comparison"]["old"]["name"] == "bbbb2222"
    assert groups["dddd4444"]["comparison"]["metrics"][0]["result"] == "cannot tell"
    assert groups["dddd4444"]["comparison"]["metrics"][0]["repeats"] > 2
    assert groups["cccc3333"]["comparison"] is groups["aaaa1111"]["comparison"] is None
    assert groups["cccc3333"]["compared"] == []


def test_groups_of_other_hosts_are_shown_only_by_name(out: Report) -> None:
    assert "ffff6666" not in out()
    assert "ffff6666" in out("ffff6666")


def test_a_run_of_the_guide_is_shown_with_the_ratio_to_its_figures_and_no_result(out: Report) -> None:
    text = out("aaaa")
    rows = [line.split() for line in text.splitlines()]
    assert ["output", "tokens", "(tok/s)", "115.95", "100", "0.862"] in rows
    assert text.endswith(
        "one run of MiniMaxAI/MiniMax-M2, TP4 on 4 x NVIDIA H20-3e: one run, other hardware\n"
    )
    assert "slower" not in text
    assert json.loads(out("aaaa", format="json"))["guide"]["figures"][0]["key"] == "output_throughput"
    assert "GUIDE" not in out("eeee")


def test_named_runs_are_compared_each_with_the_one_before(out: Report) -> None:
    text = out("aaaa", "bbbb", "dddd")
    assert text.count("compared with") == 2
    assert "output tokens (tok/s)  100 ±1.0%  83 ±1.2%     0.830  0.806 to 0.854  slower" in text
    assert "changed: vLLM: - -> 0.33.0" in text
    assert "note: one start each" in text


def test_several_starts_of_a_side_are_joined_by_commas(out: Report) -> None:
    found = json.loads(out("aaaa,bbbb", "dddd", format="json"))["comparisons"][0]
    assert (found["old"]["starts"], len(found["old"]["runs"])) == (2, 6)


def test_a_gate_passes_and_shows_the_comparison(out: Report, results: Path) -> None:
    text = out("aaaa", gate=baseline(results, "bbbb2222"))
    assert text.endswith("gate: passed\n")


def test_a_gate_fails_with_1_after_it_printed_the_comparison(
    out: Report, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exit, match="slower than the baseline") as end:
        out("bbbb", gate=baseline(results, "aaaa1111"), format="json")
    printed = json.loads(capsys.readouterr().out)
    assert end.value.code == 1
    assert (printed["gate"]["result"], printed["gate"]["max_regression"]) == ("regression", 0.05)
    assert printed["gate"]["comparison"]["metrics"][0]["interval"] == pytest.approx([0.806, 0.854], abs=1e-3)
    assert "ratio 0.830, interval 0.806 to 0.854; accepted regression: 5%" in str(end.value)


def test_a_gate_that_cannot_tell_passes_with_a_warning_and_fails_if_strict(
    out: Report, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = baseline(results, "bbbb2222")
    assert out("dddd", gate=old).endswith("gate: cannot tell\n")
    with pytest.raises(Exit, match="cannot tell whether it is slower") as end:
        out("dddd", gate=old, strict=True)
    assert end.value.code == 1


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("nope",), {}, "unknown run 'nope'"),
        (("aaaa", "eeee"), {}, "'aaaa1111' and 'eeee5555' are different workloads"),
        (("aaaa,eeee",), {}, "are different workloads"),
        (("aaaa", "cccc"), {}, "no run of 'cccc3333' can be compared"),
        (("aaaa", "absent.jsonl"), {}, "cannot read 'absent.jsonl'"),
        ((), {"gate": "absent.jsonl"}, "cannot read 'absent.jsonl'"),
        (("ffff",), {"gate": "aaaa1111"}, "was measured on other hardware"),
        (("cccc",), {"gate": "aaaa1111"}, "no run of 'cccc3333' can be compared"),
        (("aaaa",), {"gate": "cccc3333"}, "can be compared"),
        (("eeee",), {"gate": "aaaa1111"}, "are different workloads"),
        (("aaaa", "bbbb"), {"gate": "aaaa1111"}, "--gate compares one RUNS with a baseline"),
        (("aaaa",), {"gate": "aaaa1111", "metric": ["mean_e2el_ms"]}, "have no 'mean_e2el_ms' in common"),
        (("aaaa",), {"gate": "aaaa1111", "metric": ["ttft"]}, "unknown metric 'ttft'"),
        ((), {"max_regression": "5"}, "--max-regression must be a percentage"),
        ((), {"results": "/proc/nowhere"}, "cannot read the results folder '/proc/nowhere'"),
        ((), {"results": "/etc/passwd"}, "cannot read the results folder '/etc/passwd'"),
    ],
)
def test_a_wrong_request_ends_with_2_and_one_clear_message(
    names: tuple[str, ...], options: dict[str, Any], message: str, out: Report, results: Path
) -> None:
    if options.get("gate", "").endswith(("1111", "3333")):
        options = {**options, "gate": baseline(results, options["gate"])}
    with pytest.raises(Exit) as end:
        out(*names, **options)
    assert end.value.code == 2
    assert message in str(end.value).splitlines()[0]
    assert len(str(end.value).splitlines()) <= 3


@pytest.mark.parametrize("format", ["table", "json"])
def test_without_records_there_is_nothing_to_report(out: Report, format: str) -> None:
    assert out(results="", format=format) == ("" if format == "table" else '{\n  "groups": []\n}\n')


def test_control_characters_of_a_record_do_not_reach_the_terminal(out: Report, results: Path) -> None:
    evil = "x\x1b[2J\ny"
    bad = server(model=evil, vllm=evil)
    for one in (*runs("g\x1b1", [1, 2], host=HERE, server=bad), *runs("g\n2", [1, 2], host=HERE)):
        write(one, results)
    text = out() + out("g\x1b1")
    assert "\x1b" not in text
    with pytest.raises(Exit) as end:
        out("aaaa", "g\x1b1")
    assert "\x1b" not in str(end.value)


@pytest.mark.parametrize(
    ("format", "start"), [("html", b"<!doctype html>"), ("png", b"\x89PNG"), ("markdown", b"### MiniMaxAI/")]
)
def test_a_page_is_written_to_a_file(out: Report, tmp_path: Path, format: str, start: bytes) -> None:
    file = tmp_path / "page"
    assert out("aaaa", "bbbb", format=format, output=str(file)) == ""
    assert file.read_bytes().startswith(start)


def test_a_page_says_the_same_as_the_comparison(out: Report) -> None:
    text = out("aaaa", "bbbb", format="markdown", slo="tpot=50ms")
    assert "**Slower: 83 output tok/s ±1.2% (3 runs, good), 0.830 times 'aaaa1111', 95% interval" in text
    assert "0.806 to 0.854" in text
    assert "- vLLM: - -\\> 0.33.0" in text


def test_a_table_is_written_to_a_file_also_if_the_gate_fails(out: Report, results: Path) -> None:
    file = results.parent / "table.txt"
    with pytest.raises(Exit, match="slower than the baseline"):
        out("bbbb", gate=baseline(results, "aaaa1111"), output=str(file))
    assert file.read_text().endswith("gate: regression\n")


@pytest.mark.parametrize(
    ("names", "options", "code", "message"),
    [
        (("cccc",), {}, 2, "no run of 'cccc3333' can be compared"),
        (("aaaa", "hhhh"), {}, 2, "a page shows the runs of one model"),
        ((), {"results": "", "format": "markdown"}, 2, "there are no recorded runs to report"),
        (("aaaa",), {"slo": "fast"}, 2, "--slo 'fast' is not valid"),
        (("aaaa",), {"slo": "tpot=50ms", "format": "table"}, 2, "--slo is shown on a page only"),
        (("aaaa",), {"gate": "x.jsonl"}, 2, "--gate has no page (got '--format html')"),
        (("aaaa",), {"format": "text"}, 2, "unknown --format value 'text'"),
        (("aaaa",), {"output": "/proc/nowhere/x"}, 1, "cannot write '/proc/nowhere/x'"),
    ],
)
def test_a_wrong_request_for_a_page_ends_with_one_clear_message(
    names: tuple[str, ...], options: dict[str, Any], code: int, message: str, out: Report, results: Path
) -> None:
    for one in runs("hhhh8888", [1, 2], host=HERE, server=server(model="other/model")):
        write(one, results)
    with pytest.raises(Exit) as end:
        out(*names, **{"format": "html", **options})
    assert end.value.code == code
    assert message in str(end.value).splitlines()[0]
    assert len(str(end.value).splitlines()) <= 3


def test_remarks_on_compared_runs_are_notes(out: Report, results: Path) -> None:
    remark = Remark(rule="load", outcome="remarks", sentence="3.1 of 4 requests were in flight")
    noted = Validity(outcome="remarks", remarks=(remark,))
    for one in runs("gggg7777", [84, 85], host=HERE, validity=noted):
        write(one, results)
    text = out("gggg")
    assert "remarks" in text
    assert text.count("note: 'gggg7777': 3.1 of 4 requests were in flight") == 1


def test_a_record_of_a_newer_slipway_is_refused(out: Report, results: Path) -> None:
    newer = json_line(RECORDS[0]).replace('"schema":1', '"schema":2')
    (results / "20270101T000000-x-y.bench.jsonl").write_text(newer)
    with pytest.raises(Exit, match="is a record of a newer Slipway") as end:
        out()
    assert end.value.code == 2
