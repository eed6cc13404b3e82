"""What one line of a record holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from launch.bench.record import Record, json_line, json_schema
from tests.unit.launch.bench.records_data import record


def test_json_line_is_one_line_with_the_number_of_its_schema() -> None:
    line = json_line(record())
    assert "\n" not in line
    assert json.loads(line)["schema"] == 1


@given(st.dictionaries(st.text(), st.floats() | st.text() | st.none() | st.lists(st.floats())))
def test_json_line_is_strict_json_whatever_vllm_reports(result: dict[str, Any]) -> None:
    line = json_line(record(result=result))
    json.loads(line, parse_constant=pytest.fail)
    assert len(line.splitlines()) >= 1
    assert Record.model_validate_json(line).result.keys() == result.keys()


def test_a_record_ignores_fields_of_a_later_version() -> None:
    data = json.loads(json_line(record()))
    assert Record.model_validate({**data, "new_field": 1}) == record()


def test_a_record_has_one_of_three_states() -> None:
    with pytest.raises(ValidationError, match="status"):
        record(status="done")


def test_json_schema_names_the_key_schema() -> None:
    properties = json_schema()["properties"]
    assert properties["schema"]["const"] == 1
    assert "schema_version" not in properties
