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

IMAGE, ID = "slipway/vllm-cpu:1", "sha256:abc"


def acceptance(path: Path, outcome: Any = "pass", quick: bool = False, **facts: str) -> Path:
    """Write the report of an acceptance test with one item."""
    item = ItemResult("facts", outcome, "", "", "", {}, 0.1)
    server = {"image": IMAGE, "image_id": ID, **facts}
    path.write_text(json.dumps(report(server, [item], quick, "2026-11-27T00:00:00+00:00")))
    return path


def test_a_complete_acceptance_test_is_accepted(tmp_path: Path) -> None:
    require_good_run(acceptance(tmp_path / "a.json"), IMAGE, ID)


def test_a_benchmark_is_accepted(tmp_path: Path) -> None:
    record = tmp_path / "b.json"
    record.write_text(json.dumps({"slipway": {"image": IMAGE}, "result": {"completed": 3, "failed": 0}}))
    require_good_run(record, IMAGE, ID)


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
