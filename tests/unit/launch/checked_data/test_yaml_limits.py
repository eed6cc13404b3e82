"""YAML that would end the process, or never end."""

from __future__ import annotations

import pytest
import yaml

from errors import Refused
from launch.checked_data.data_file import parse_yaml
from launch.recipes.loader import read_recipe

DEEP = {
    "brackets": "[" * 100_000,
    "closed brackets": "[" * 30_000 + "]" * 30_000,
    "braces": "{a: " * 30_000,
    "block sequence": "- " * 30_000 + "x",
}
LAUGHS = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 40)
)


@pytest.mark.parametrize("name", DEEP)
def test_deep_yaml_is_refused(name: str) -> None:
    with pytest.raises(yaml.YAMLError, match="nested deeper than 200 levels"):
        parse_yaml(DEEP[name])


@pytest.mark.parametrize(
    ("text", "why"), [(LAUGHS, "aliases stand for"), ("a: &a [1, *a]\n", "contains itself")]
)
def test_endless_aliases_are_refused(text: str, why: str) -> None:
    with pytest.raises(yaml.YAMLError, match=why):
        parse_yaml(text)
    with pytest.raises(Refused, match="not valid YAML"):
        read_recipe(text, "a.yaml")


def test_usual_aliases_and_wide_files_are_read() -> None:
    assert parse_yaml("base: &b {x: 1}\nother: {<<: *b, y: 2}\n")["other"] == {"x": 1, "y": 2}
    assert len(parse_yaml("[" + "[1, 2], " * 10_000 + "]")) == 10_000
