"""The record for which an image is promoted: which are accepted, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from errors import Refused
from images.publish.evidence import require_good_run
from launch.acceptance.report import report
from launch.acceptance.types import ItemResult
from launch.bench.record import Outcome, Remark, Server, Validity, json_line
from tests.unit.launch.bench.records_data import record

IMAGE, ID = "slipway/vllm-cpu:1", "sha256:abc"


def acceptance(path: Path, outcome: Any = "pass", quick: bool = False, **facts: str) -> Path:
    """Write the report of an acceptance test with one item."""
    item = ItemResult("facts", outcome, "", "", "", {}, 0.1)
    server = {"image": IMAGE, "image_id": ID, **facts}
    path.write_text(json.dumps(report(server, [item], quick, "2026-11-27T00:00:00+00:00")))
    return path


def test_a_complete_acceptance_test_is_accepted(tmp_path: Path) -> None:
    require_good_run(acceptance(tmp_path / "a.json"), IMAGE, ID)


def benchmark(path: Path, outcome: Outcome = "good") -> Path:
    """Write the record of a benchmark of the image."""
    server = Server(name="s", start_id="x", model="m", image=IMAGE)
    remark = Remark(rule="all answered", outcome=outcome, sentence="2 of 4 requests were answered")
    found = Validity(outcome=outcome, remarks=(remark,))
    path.write_text(json_line(record(server=server, validity=found)) + "\n")
    return path


@pytest.mark.parametrize("outcome", ["good", "remarks"])
def test_a_benchmark_is_accepted(outcome: Outcome, tmp_path: Path) -> None:
    require_good_run(benchmark(tmp_path / "b.jsonl", outcome), IMAGE, ID)


def test_a_void_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the run is void: 2 of 4 requests were answered"):
        require_good_run(benchmark(tmp_path / "b.jsonl", "void"), IMAGE, ID)


def test_the_newest_benchmark_of_a_file_counts(tmp_path: Path) -> None:
    both = benchmark(tmp_path / "a", "void").read_text() + benchmark(tmp_path / "b").read_text()
    (tmp_path / "both").write_text(both)
    require_good_run(tmp_path / "both", IMAGE, ID)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "fail"}, "0 items passed, 1 failed: facts"),
        ({"outcome": "skipped"}, "0 items passed"),
        ({"quick": True}, "not complete"),
        ({"image": "slipway/other:1", "image_id": ""}, "is an acceptance test of slipway/other:1"),
        ({"image": "", "image_id": "", "url": "http://h:1"}, "is an acceptance test of http://h:1"),
        ({"image_id": "sha256:old"}, "it tested sha256:old"),
    ],
)
def test_other_acceptance_tests_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=message):
        require_good_run(acceptance(tmp_path / "a.json", **change), IMAGE, ID)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"slipway": {}}', '{"acceptance": {}, "slipway": {"image": "x"}}']
)
def test_what_is_not_a_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(Refused, match="not a benchmark result or an acceptance report"):
        require_good_run(tmp_path / "x.json", IMAGE, ID)
