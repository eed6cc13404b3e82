"""Reading Slipway's own YAML tables: checked against a type, with one line for each error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from errors import Failed
from launch.checked_data.data_file import load


@dataclass(frozen=True)
class Row:
    """One row."""

    name: str
    size: float = 1.0


@dataclass(frozen=True)
class Table:
    """Two parts."""

    rows: tuple[Row, ...]
    limits: dict[str, int]


GOOD = "rows:\n- {name: a}\n- {name: b, size: 2}\nlimits: {most: 8}\n"


def table(folder: Path, text: str) -> Table:
    path = folder / "table.yaml"
    path.write_text(text)
    return load(path, Table)


def test_load_returns_the_type_that_was_asked_for(tmp_path: Path) -> None:
    assert table(tmp_path, GOOD) == Table((Row("a"), Row("b", 2.0)), {"most": 8})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size: 2", "size: large", "table.yaml: rows.1.size: Input should be a valid number"),
        ("size: 2", "sise: 2", "table.yaml: rows.1.sise: Unexpected keyword argument, found 2"),
        ("name: a", "size: 3", "table.yaml: rows.0.name: Field required"),
        ("most: 8", "most: [8]", "table.yaml: limits.most: Input should be a valid integer"),
        (GOOD, "- a", "table.yaml: Input should be a dictionary or an instance of Table"),
    ],
)
def test_load_names_file_row_and_field_of_an_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(Failed) as error:
        table(tmp_path, GOOD.replace(old, new))
    assert error.value.what.startswith(message)
    assert "\n" not in error.value.what


def test_load_names_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"cannot read .*table"):
        load(tmp_path / "table.yaml", Table)
