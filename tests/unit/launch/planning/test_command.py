"""Which word of a recipe wins, layer by layer, and that each keeps the key that it came from."""

from __future__ import annotations

import pytest

from launch.planning.choice import Choice
from launch.planning.command import synthesise
from launch.planning.features import default_features, features_on, mode_of
from launch.recipes.image import image_of, version_of
from launch.recipes.loader import read_recipe
from launch.recipes.schema import Recipe
from launch.recipes.strategy import known as strategies
from launch.recipes.strategy import min_gpus, offered, runs_on
from launch.spec.gpu_catalog import Hardware, known
from launch.spec.vllm_args import words

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


def made(
    recipe: Recipe,
    hardware: str,
    strategy: str = "single_node_tp",
    variant: str = "default",
    gpus: int = 8,
    nodes: int = 1,
):
    choice = Choice(recipe, variant, strategies()[strategy], known()[hardware], gpus, nodes)
    return synthesise(
        Choice(recipe, variant, strategies()[strategy], known()[hardware], gpus, nodes, features_on(choice))
    )


@pytest.mark.parametrize(
    ("hardware", "x"),
    [("h100", "variant-hopper"), ("h200", "variant-hopper"), ("b200", "nvidia"), ("mi300x", "variant")],
)
def test_exact_gpu_before_generation_before_brand_and_the_variant_on_top(recipe, hardware, x):
    assert made(recipe, hardware).get("--x").value == x
    assert made(recipe, "h100", variant="small").get("--x").value == "h100"


def test_every_word_keeps_its_key(recipe):
    draft = made(recipe, "h200")
    assert draft.get("--x").source == "a/b.yaml: variants.default.hardware_overrides.hopper"
    assert draft.get("--exact").source == "a/b.yaml: variants.default.hardware_overrides.h200"
    assert [(s.name, s.value, s.source) for s in draft.env] == [
        ("X", "hopper", "a/b.yaml: hardware_overrides.hopper")
    ]


def test_a_strategys_generation_replaces_the_recipes_and_its_exact_gpu_comes_on_top(recipe):
    draft = made(recipe, "h200", "single_node_tep")
    assert draft.get("--x").value == "strategy"
    assert words(draft.args)[-9:-5] == ("--y", "1", "--z", "1")


def test_features_come_last_in_the_recipes_order(recipe):
    assert words(made(recipe, "h200").args)[-4:] == ("1", "--spec", "one-hopper", "--gated")
    assert words(made(recipe, "mi300x").args)[-4:] == ("--tool", "amd", "--spec", "one")


def test_what_is_on_without_a_word(recipe):
    assert default_features(recipe, known()["h200"]) == ("tool", "spec", "gated")
    assert default_features(recipe, known()["b200"]) == ("spec", "gated")


def test_a_feature_that_does_not_run_here_is_left_out_and_said_so(recipe):
    assert made(recipe, "mi300x").get("--gated") is None
    assert made(recipe, "mi300x").corrections == ("feature gated does not run on mi300x: left out",)


def test_a_mode_is_the_wished_one_else_the_features_else_the_first_that_may_run(recipe):
    spec = recipe.features["spec"]

    def mode(variant, hardware, wanted=""):
        choice = Choice(recipe, variant, strategies()["single_node_tp"], known()[hardware], 8)
        return mode_of(choice, "spec", spec, wanted)

    assert mode("default", "h200") == "one"
    assert mode("default", "h200", "two") == "two"
    assert mode("small", "h200") == "two"
    assert mode("small", "mi300x") == ""


def test_tp_by_variant_then_by_memory_then_all(recipe):
    assert made(recipe, "h200", variant="small").get("--tensor-parallel-size").value == "2"
    assert made(recipe, "h100", variant="small").get("--tensor-parallel-size").value == "4"
    assert made(recipe, "mi300x", variant="small").get("--tensor-parallel-size").value == "1"
    assert made(recipe, "h200").get("--tensor-parallel-size").value == "1"  # 100 GB fit one of 141
    assert made(recipe, "h100").get("--tensor-parallel-size").value == "8"


def test_several_nodes(recipe):
    argv = " ".join(words(made(recipe, "b200", "multi_node_tp", nodes=2).args))
    assert "--tensor-parallel-size 16 --nnodes 2 --node-rank 0 --master-addr $HEAD_IP" in argv


def test_which_strategies_run_where(recipe):
    assert offered(recipe)[-1] == "multi_node_dep"
    assert not runs_on(recipe, "multi_node_tp", known()["h200"])
    assert runs_on(recipe, "multi_node_dep", known()["h200"])
    assert not runs_on(recipe, "multi_node_dep", known()["mi300x"])
    assert min_gpus(recipe, "single_node_dep", known()["h200"]) == 16
    assert min_gpus(recipe, "multi_node_tp", known()["h100"]) == 32


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
def test_docker_image_in_every_form(recipe, written, hardware, image):
    model = recipe.model.model_copy(update={"docker_image": written})
    asked = recipe.model_copy(update={"model": model})
    assert image_of(asked, recipe.variants["default"], known()[hardware]) == image


def test_images_of_other_hardware(recipe):
    nightly = recipe.model_copy(update={"model": recipe.model.model_copy(update={"nightly_required": True})})
    assert (
        image_of(nightly, recipe.variants["default"], Hardware("v6e", "Google", "tpu"))
        == "vllm/vllm-tpu:nightly"
    )
    assert (
        image_of(nightly, recipe.variants["default"], Hardware("b60", "Intel", "xpu"))
        == "vllm/vllm-openai-xpu:latest"
    )


def test_a_tag_may_promise_a_version():
    assert version_of("vllm/vllm-openai:v0.20.2") == "0.20.2"
    assert version_of("vllm/vllm-openai:latest") == ""
