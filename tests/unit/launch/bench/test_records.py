"""Write records to a folder and read them back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from errors import Failed
from launch.bench.record import Load, Sampling, Server, json_line
from launch.bench.records import UnreadableRecord, file_of, read_all, read_file, workload_key, write
from tests.unit.launch.bench.records_data import record


def test_write_makes_a_file_with_one_line(tmp_path: Path) -> None:
    path = write(record(), tmp_path)
    assert path.name == "20261127T100000-guide-cuda-a1b2c3d4.bench.jsonl"
    assert path.read_text() == json_line(record()) + "\n"
    assert read_file(path) == [record()]


def test_write_replaces_the_record_of_the_same_run(tmp_path: Path) -> None:
    write(record(status="interrupted"), tmp_path)
    write(record(), tmp_path)
    assert read_all(tmp_path) == [record()]


def test_two_runs_of_one_second_have_two_files(tmp_path: Path) -> None:
    paths = {write(record(id=id), tmp_path) for id in ("a", "b")}
    assert len(paths) == len(read_all(tmp_path)) == 2


@pytest.mark.parametrize("text", ["../../x", "/etc/passwd", "a/b", "..", "x\0y"])
def test_no_value_of_a_record_leads_out_of_the_folder(text: str, tmp_path: Path) -> None:
    path = file_of(record(preset=text, time=text, result={"date": text}), tmp_path)
    assert path.parent == tmp_path
    assert "/" not in path.name


def test_read_all_returns_the_oldest_first(tmp_path: Path) -> None:
    for second in (30, 10, 20):
        write(record(id=str(second), time=f"2026-11-27T10:00:{second}Z"), tmp_path)
    assert [one.id for one in read_all(tmp_path)] == ["10", "20", "30"]


def test_a_text_with_another_line_end_stays_in_its_record(tmp_path: Path) -> None:
    one = record(result={"error": "a\u2028b\x85c"})
    assert read_file(write(one, tmp_path)) == [one]


def test_read_all_of_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert read_all(tmp_path / "absent") == []


def test_read_all_leaves_out_damaged_files_and_files_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = write(record(), tmp_path)
    (tmp_path / "x.bench.jsonl").write_text(good.read_text()[:40])
    (tmp_path / "y.json").write_text("{}")
    assert read_all(tmp_path) == [record()]
    assert "x.bench.jsonl': line 1 is not a record and is left out" in caplog.text
    assert "y.json" not in caplog.text


def test_read_file_reads_concatenated_files_and_tolerates_half_a_last_line(tmp_path: Path) -> None:
    line = json_line(record())
    path = tmp_path / "many"
    path.write_text(f"{line}\n{line}\n{line[: len(line) // 2]}")
    assert len(read_file(path)) == 2


LINE = json_line(record())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        (" \n\n", "it is empty"),
        (LINE[:100], "its only line is cut"),
        ("{}", "id: Field required"),
        ("[]", "it is not a JSON object"),
        ("5", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        (f"{'[' * 100_000}\n{LINE}", "line 1: its values are nested too deeply"),
        (f"x\n{LINE}", "line 1: "),
        (json.dumps({"slipway": {}, "result": {}}), "id: Field required"),
        (LINE.replace('"schema":1', '"schema":0'), "schema: "),
        (LINE.replace('"complete"', '"done"'), "status: "),
        (LINE.replace('"seed":7', '"seed":"x"'), "seed: "),
    ],
)
def test_read_file_refuses_what_is_not_a_record_in_one_clear_line(
    text: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(UnreadableRecord, match="is not a record of `invoke bench`") as refused:
        read_file(path)
    assert refused.value.why.startswith(why)
    assert "\n" not in refused.value.why


def test_read_file_refuses_a_newer_schema_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(LINE.replace('"schema":1', '"schema":2'))
    with pytest.raises(UnreadableRecord, match="newer Slipway") as refused:
        read_file(path)
    assert refused.value.why == "line 1 has schema 2; this Slipway reads schema 1"
    assert refused.value.fix == "upgrade Slipway"


def test_read_file_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UnreadableRecord, match="cannot read"):
            read_file(path)


def test_write_to_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot write") as failed:
        write(record(), tmp_path / "file" / "results")
    assert failed.value.why == "Not a directory"


def test_workload_key_is_the_same_for_another_seed_image_and_layout() -> None:
    server = Server(name="other", start_id="y", model="MiniMaxAI/MiniMax-M2", image="b", layout={"tp": 8})
    assert workload_key(record()) == workload_key(record(seed=8, server=server, id="z", argv=("x",)))


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"preset": "chat"}, {"preset"}),
        ({"load": Load(dataset="random", input_len=41, output_len=20, requests=8, concurrency=2)},
         {"requests", "concurrency"}),
        ({"sampling": Sampling(temperature=0)}, {"temperature"}),
        ({"sampling": Sampling(ignore_eos=True, options={"top-p": "0.9"})}, {"ignore_eos", "top-p"}),
    ],
)  # fmt: skip
def test_workload_key_names_what_differs(change: dict[str, object], keys: set[str]) -> None:
    one, other = workload_key(record()), workload_key(record(**change))
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == keys
