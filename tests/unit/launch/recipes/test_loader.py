"""Recipes in YAML: unknown keys are kept, invalid ones are refused with one line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from errors import Refused, SlipwayError
from launch.recipes.loader import load_yaml, read_recipe
from tests.conftest import SHARED
from tests.unit.launch.plan_builders import builtin_repository

SMALL = "model: {model_id: a/b, min_vllm_version: 0.20.0}\n"


def test_read_recipe_names_line_and_column_of_a_yaml_error() -> None:
    with pytest.raises(Refused, match=r"x\.yaml, line 2, column 7: not valid YAML"):
        read_recipe("model:\n  a: b: c\n", "x.yaml")


def test_read_recipe_names_key_path_and_type_of_a_wrong_value() -> None:
    text = SMALL + "variants: {fp8: {extra_args: --no-list}}\n"
    with pytest.raises(
        Refused, match=r"x\.yaml: variants\.fp8\.extra_args: input should be a valid tuple, found str"
    ):
        read_recipe(text, "x.yaml")


def test_read_recipe_refuses_a_boolean_as_an_option() -> None:
    with pytest.raises(Refused, match=r"model\.base_env\.A: input should be a valid string, found bool True"):
        read_recipe("model: {model_id: a/b, base_env: {A: true}}", "x.yaml")


def test_read_recipe_takes_unquoted_numbers_as_options() -> None:
    recipe = read_recipe("model: {model_id: a/b, base_args: [--block-size, 64], base_env: {A: 1}}", "x.yaml")
    assert recipe.model.base_args == ("--block-size", "64")
    assert recipe.model.base_env == {"A": "1"}


def test_read_recipe_takes_an_empty_key_as_an_empty_mapping() -> None:
    assert read_recipe(SMALL + "features:\nvariants:\n  default:\n", "x.yaml").features == {}


def test_read_recipe_lists_unknown_keys() -> None:
    recipe = read_recipe(SMALL + "new: 1\nvariants: {default: {newer: 2}}\n", "x.yaml")
    assert recipe.unknown == ("new", "variants.default.newer")


@pytest.mark.parametrize(
    "text", ["", "a", "[]", "model: 1", "model: {}", "a: &a [*a]", "date: 2026-13-45", "? [a]\n: b"]
)
def test_read_recipe_refuses_other_yaml(text: str) -> None:
    with pytest.raises(Refused, match=r"x\.yaml"):
        read_recipe(text, "x.yaml")


@pytest.mark.skipif(not SHARED.is_dir(), reason="upstream's recipes are not in ../shared")
def test_read_recipe_knows_all_keys_of_upstream_recipes() -> None:
    for path in (SHARED / "vllm-recipes" / "models").rglob("*.yaml"):
        assert read_recipe(path.read_text(), path.name).unknown == (), path.name


def test_read_recipe_knows_all_keys_of_builtin_recipes() -> None:
    repository = builtin_repository()
    assert all(recipe.unknown == () for recipe in repository.read(repository.names())[0])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=60) | anything.map(yaml.safe_dump))
def test_read_recipe_never_raises_a_foreign_error(text: str) -> None:
    try:
        read_recipe(text, "x.yaml")
        load_yaml(text, "x.yaml")
    except SlipwayError as error:
        assert "x.yaml" in error.what
