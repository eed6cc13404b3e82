"""Options of a recipe: which layer wins, and the key that each came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launch.planning.command import recipe_command
from launch.planning.features import mode_of
from launch.planning.selection import Selection, default_features, enabled_features
from launch.recipes.image import image_of, version_in_tag
from launch.recipes.loader import read_recipe
from launch.recipes.schema import Recipe
from launch.recipes.strategy import builtin_strategies, min_gpus, offered, runs_on
from launch.spec.gpu_catalog import HardwareProfile, catalog
from launch.spec.vllm_args import Arg, Draft, to_argv

RECIPE = """
model: {model_id: a/b, base_args: [--x, base], base_env: {X: base}}
variants:
  default:
    vram_minimum_gb: 100
    extra_args: [--x, variant]
    hardware_overrides:
      h200: {extra_args: [--exact, variant]}
      hopper: {extra_args: [--x, variant-hopper]}
  small: {tp: {h200: 2, hopper: 4, default: 1}, model_id: a/small}
features:
  tool: {args: [--tool, "1"], hardware_overrides: {amd: {args: [--tool, amd]}}}
  spec:
    default_mode: one
    modes:
      one:
        args: [--spec, one]
        variants: [default]
        hardware_overrides: {hopper: {args: [--spec, one-hopper]}}
      two: {args: [--spec, two], hardware: {amd: unsupported}}
  rare: {args: [--rare]}
  gated: {args: [--gated], hardware: {amd: unsupported}}
opt_in_features: [rare]
hardware_opt_in_features: {b200: [tool]}
hardware_overrides:
  h100: {extra_args: [--x, h100]}
  hopper: {extra_args: [--x, hopper], extra_env: {X: hopper}}
  nvidia: {extra_args: [--x, nvidia]}
strategy_overrides:
  single_node_tep:
    extra_args: [--x, strategy]
    hardware_overrides: {hopper: {extra_args: [--y, "1"]}, h200: {extra_args: [--z, "1"]}}
compatible_strategies: [single_node_tp, single_node_tep, single_node_dep, multi_node_tp]
strategy_hardware: {multi_node_tp: {hopper: unsupported}, multi_node_dep: {h200: supported}}
strategy_min_gpus: {dep: 16, h100: {tp: 32}}
"""


@pytest.fixture
def recipe() -> Recipe:
    return read_recipe(RECIPE, "a/b.yaml")


def selection(
    recipe: Recipe,
    hardware: str,
    strategy: str = "single_node_tp",
    variant: str = "default",
    gpus: int = 8,
    nodes: int = 1,
) -> Selection:
    bare = Selection(recipe, variant, builtin_strategies()[strategy], catalog()[hardware], gpus, nodes)
    return replace(bare, features=enabled_features(bare))


def command(recipe: Recipe, hardware: str, strategy: str = "single_node_tp", **options: Any) -> Draft:
    return recipe_command(selection(recipe, hardware, strategy, **options))


def option(draft: Draft, flag: str) -> Arg:
    arg = draft.get(flag)
    assert arg is not None
    return arg


@pytest.mark.parametrize(
    ("hardware", "x"),
    [("h100", "variant-hopper"), ("h200", "variant-hopper"), ("b200", "nvidia"), ("mi300x", "variant")],
)
def test_recipe_command_prefers_exact_gpu_then_generation_then_brand(
    recipe: Recipe, hardware: str, x: str
) -> None:
    assert option(command(recipe, hardware), "--x").value == x
    assert option(command(recipe, "h100", variant="small"), "--x").value == "h100"


def test_recipe_command_records_the_key_of_each_option(recipe: Recipe) -> None:
    draft = command(recipe, "h200")
    assert option(draft, "--x").source == "a/b.yaml: variants.default.hardware_overrides.hopper"
    assert option(draft, "--exact").source == "a/b.yaml: variants.default.hardware_overrides.h200"
    assert [(s.name, s.value, s.source) for s in draft.env] == [
        ("X", "hopper", "a/b.yaml: hardware_overrides.hopper")
    ]


def test_recipe_command_applies_hardware_blocks_of_the_strategy(recipe: Recipe) -> None:
    draft = command(recipe, "h200", "single_node_tep")
    assert option(draft, "--x").value == "strategy"
    assert to_argv(draft.args)[-9:-5] == ("--y", "1", "--z", "1")


def test_recipe_command_adds_features_last(recipe: Recipe) -> None:
    assert to_argv(command(recipe, "h200").args)[-4:] == ("1", "--spec", "one-hopper", "--gated")
    assert to_argv(command(recipe, "mi300x").args)[-4:] == ("--tool", "amd", "--spec", "one")


def test_default_features_leave_out_opt_in_features(recipe: Recipe) -> None:
    assert default_features(recipe, catalog()["h200"]) == ("tool", "spec", "gated")
    assert default_features(recipe, catalog()["b200"]) == ("spec", "gated")


def test_recipe_command_leaves_out_unsupported_features_with_a_note(recipe: Recipe) -> None:
    assert command(recipe, "mi300x").get("--gated") is None
    assert command(recipe, "mi300x").corrections == ("feature gated does not run on mi300x: left out",)


def test_mode_of_prefers_the_wanted_mode_then_the_default_then_the_first(recipe: Recipe) -> None:
    spec = recipe.features["spec"]

    def mode(variant: str, hardware: str, wanted: str = "") -> str:
        return mode_of(selection(recipe, hardware, variant=variant), "spec", spec, wanted)

    assert mode("default", "h200") == "one"
    assert mode("default", "h200", "two") == "two"
    assert mode("small", "h200") == "two"
    assert mode("small", "mi300x") == ""


def test_recipe_command_sets_tp_by_variant_then_memory_then_all_gpus(recipe: Recipe) -> None:
    assert option(command(recipe, "h200", variant="small"), "--tensor-parallel-size").value == "2"
    assert option(command(recipe, "h100", variant="small"), "--tensor-parallel-size").value == "4"
    assert option(command(recipe, "mi300x", variant="small"), "--tensor-parallel-size").value == "1"
    assert option(command(recipe, "h200"), "--tensor-parallel-size").value == "1"  # 100 GB fit one of 141
    assert option(command(recipe, "h100"), "--tensor-parallel-size").value == "8"


def test_recipe_command_for_several_nodes(recipe: Recipe) -> None:
    argv = " ".join(to_argv(command(recipe, "b200", "multi_node_tp", nodes=2).args))
    assert "--tensor-parallel-size 16 --nnodes 2 --node-rank 0 --master-addr $HEAD_IP" in argv


def test_strategies_follow_the_recipes_hardware_limits(recipe: Recipe) -> None:
    assert offered(recipe)[-1] == "multi_node_dep"
    assert not runs_on(recipe, "multi_node_tp", catalog()["h200"])
    assert runs_on(recipe, "multi_node_dep", catalog()["h200"])
    assert not runs_on(recipe, "multi_node_dep", catalog()["mi300x"])
    assert min_gpus(recipe, "single_node_dep", catalog()["h200"]) == 16
    assert min_gpus(recipe, "multi_node_tp", catalog()["h100"]) == 32


IMAGES = [
    ("x:1", "h200", "x:1"),
    ("x:1", "mi300x", "vllm/vllm-openai-rocm:latest"),
    ({"nvidia": "n:1", "amd": "a:1"}, "mi300x", "a:1"),
    ({"cu129": "c:129", "cu130": "c:130"}, "h200", "c:130"),
    ({"nvidia": {"cu129": "c:129"}}, "h200", "c:129"),
    ({"nvidia": {"cu129": "c:129"}}, "mi300x", "vllm/vllm-openai-rocm:latest"),
    ("docker pull n:1", "h200", "n:1"),
    (None, "cpu", "vllm/vllm-openai-cpu:latest-x86_64"),
]


@pytest.mark.parametrize(("written", "hardware", "image"), IMAGES)
def test_image_of_reads_every_form_of_docker_image(
    recipe: Recipe, written: Any, hardware: str, image: str
) -> None:
    recipe = replace(recipe, model=replace(recipe.model, docker_image=written))
    assert image_of(recipe, recipe.variants["default"], catalog()[hardware]) == image


def test_image_of_knows_tpu_and_xpu_images(recipe: Recipe) -> None:
    nightly = replace(recipe, model=replace(recipe.model, nightly_required=True))
    assert (
        image_of(nightly, recipe.variants["default"], HardwareProfile("v6e", "Google", "tpu"))
        == "vllm/vllm-tpu:nightly"
    )
    assert (
        image_of(nightly, recipe.variants["default"], HardwareProfile("b60", "Intel", "xpu"))
        == "vllm/vllm-openai-xpu:latest"
    )


def test_version_in_tag() -> None:
    assert version_in_tag("vllm/vllm-openai:v0.20.2") == "0.20.2"
    assert version_in_tag("vllm/vllm-openai:latest") == ""
