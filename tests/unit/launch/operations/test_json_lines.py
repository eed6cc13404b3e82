"""Rows in the state folder: appended, read back, never the reason that a command fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch.operations import json_lines


def test_json_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "rows.jsonl"
    json_lines.append(path, {"a": 1})
    json_lines.append(path, {"b": [2]})
    assert list(json_lines.read(path)) == [{"a": 1}, {"b": [2]}]


def test_json_lines_of_a_missing_file_are_empty(tmp_path: Path) -> None:
    assert list(json_lines.read(tmp_path / "rows.jsonl")) == []


def test_json_lines_skip_what_is_not_an_object(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'not json\n\xff\xfe\n[]\n{"a": 1}\n{"cut by a cra')
    assert list(json_lines.read(path)) == [{"a": 1}]


def test_json_lines_of_an_unreadable_file_are_empty_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rows.jsonl").mkdir()
    assert list(json_lines.read(tmp_path / "rows.jsonl")) == []
    assert "cannot read" in caplog.text


def test_json_lines_log_a_warning_if_the_folder_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    json_lines.append(tmp_path / "state" / "rows.jsonl", {"a": 1})
    assert "cannot write" in caplog.text
    assert "rows.jsonl" in caplog.text
