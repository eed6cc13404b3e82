"""Recipes from many hands: read whole, kept where unknown, refused in one clear line where wrong."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from errors import Refused, SlipwayError
from launch.recipes.loader import load_yaml, read_recipe
from tests.conftest import SHARED
from tests.unit.launch.plan_builders import ours

SMALL = "model: {model_id: a/b, min_vllm_version: 0.20.0}\n"


def test_a_yaml_error_has_line_and_column():
    with pytest.raises(Refused, match=r"x\.yaml, line 2, column 7: not YAML"):
        read_recipe("model:\n  a: b: c\n", "x.yaml")


def test_a_wrong_type_has_its_key_path_and_what_was_expected():
    text = SMALL + "variants: {fp8: {extra_args: --no-list}}\n"
    with pytest.raises(
        Refused, match=r"x\.yaml: variants\.fp8\.extra_args: input should be a valid tuple, found str"
    ):
        read_recipe(text, "x.yaml")


def test_a_switch_is_no_word_of_a_command_line():
    with pytest.raises(Refused, match=r"model\.base_env\.A: input should be a valid string, found bool True"):
        read_recipe("model: {model_id: a/b, base_env: {A: true}}", "x.yaml")


def test_numbers_without_quotes_are_words():
    recipe = read_recipe("model: {model_id: a/b, base_args: [--block-size, 64], base_env: {A: 1}}", "x.yaml")
    assert recipe.model.base_args == ("--block-size", "64")
    assert recipe.model.base_env == {"A": "1"}


def test_an_empty_key_is_an_empty_mapping():
    assert read_recipe(SMALL + "features:\nvariants:\n  default:\n", "x.yaml").features == {}


def test_unknown_keys_are_kept_and_named():
    recipe = read_recipe(SMALL + "new: 1\nvariants: {default: {newer: 2}}\n", "x.yaml")
    assert recipe.unknown == ("new", "variants.default.newer")
    assert recipe.model_extra == {"new": 1}


@pytest.mark.parametrize(
    "text", ["", "a", "[]", "model: 1", "model: {}", "a: &a [*a]", "date: 2026-13-45", "? [a]\n: b"]
)
def test_what_is_no_recipe_is_refused(text):
    with pytest.raises(Refused, match=r"x\.yaml"):
        read_recipe(text, "x.yaml")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample recipes are not beside this repository")
def test_the_sample_has_no_key_that_is_not_known():
    for path in (SHARED / "vllm-recipes" / "models").rglob("*.yaml"):
        assert read_recipe(path.read_text(), path.name).unknown == (), path.name


def test_our_own_recipes_have_no_key_that_is_not_known():
    assert all(recipe.unknown == () for recipe in ours().read(ours().names())[0])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=60) | anything.map(yaml.safe_dump))
def test_no_text_ends_in_a_traceback(text):
    try:
        read_recipe(text, "x.yaml")
        load_yaml(text, "x.yaml")
    except SlipwayError as error:
        assert "x.yaml" in error.what
