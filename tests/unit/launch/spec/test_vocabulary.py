"""The vocabularies of vLLM versions: one file for each, read as data."""

from __future__ import annotations

import pytest

from launch.planning.vllm_versions import table
from launch.recipes.parsers import rows
from launch.spec.vllm_args import SHORT
from launch.spec.vocabulary import Vocabulary, union, versions, versions_with_option, vocabulary


def words(version: str) -> Vocabulary:
    found = vocabulary(version)
    assert found is not None
    return found


@pytest.mark.parametrize("version", versions())
def test_every_vocabulary_is_complete_and_names_its_source(version: str) -> None:
    found = words(version)
    assert found.version == version
    assert found.source.startswith(("the image ", "the Python files of vllm-"))
    assert len(found.rows) > 150
    assert len(found.env) > 150
    assert {"hermes", "minimax_m2"} <= found.tool_parsers
    assert found.registered["--quantization"]
    named = {row["config"] for row in found.rows.values() if "config" in row}
    assert named <= found.keys.keys()


def test_the_planned_and_the_newest_version_have_a_vocabulary() -> None:
    assert {table().planned, table().newest, "0.31.0", "0.32.0"} <= set(versions())


def test_a_patch_release_has_the_vocabulary_of_its_minor_version() -> None:
    assert words("0.27.0").version == "0.27.1"
    assert vocabulary("0.11.1") is None


def test_option_finds_every_spelling() -> None:
    found = words("0.32.0")
    for spelled in ("--tensor-parallel-size", "-tp"):
        option = found.option(spelled)
        assert option is not None
        assert (option.name, option.kind, option.ge) == ("--tensor-parallel-size", "integer", 1)
    off = found.option("--no-enable-prefix-caching")
    assert off is not None
    assert off.name == "--enable-prefix-caching"


def test_completed_takes_only_an_unambiguous_beginning() -> None:
    found = words("0.32.0")
    assert found.completed("--tensor-par") == "--tensor-parallel-size"
    assert found.completed("--data-parallel") == ""


def test_new_spellings_that_the_help_hides_are_known() -> None:
    assert "--disable-log-requests" not in words("0.32.0").names
    assert "--disable-log-requests" in words("0.33.0").names


def test_union_has_the_names_of_all_versions_and_no_choices() -> None:
    option = union().option("--calculate-kv-scales")
    assert option is not None
    assert versions_with_option("--calculate-kv-scales")[-1] == "0.27.1"
    dtype = union().option("--dtype")
    assert dtype is not None
    assert dtype.choices == ()


def test_other_spellings_of_options_are_those_of_the_vocabulary() -> None:
    rows_of = words("0.32.0").rows
    assert {also: name for name, row in rows_of.items() for also in row.get("also", ())} == SHORT


@pytest.mark.parametrize("version", [table().planned, table().newest])
def test_parsers_of_models_without_a_recipe_are_in_the_vocabulary(version: str) -> None:
    found = words(version)
    assert {row.tool for row in rows()} - {""} <= found.tool_parsers
    assert {row.reasoning for row in rows()} - {""} <= found.reasoning_parsers
