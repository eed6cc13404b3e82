"""Random recipes, hosts and options give a plan or a refusal, never another exception."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import SlipwayError
from launch.planning.planner import make_plan
from launch.planning.vllm_versions import image_for
from launch.recipes.loader import check
from launch.recipes.schema import Recipe
from launch.recipes.strategy import builtin_strategies
from launch.render import FORMATS, render
from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import catalog
from launch.spec.inputs import Host
from launch.spec.model_config import from_config
from launch.spec.plan_options import PlanOptions

words = st.sampled_from(
    [
        "--tensor-parallel-size",
        "2",
        "-tp",
        "--data-parallel-size",
        "4",
        "--x",
        "{",
        "",
        "-1",
        "--max-model-len",
        "9" * 30,
        "--enable-expert-parallel",
        "--kv-cache-dtype",
        "fp8",
        "--gpu-memory-utilization",
        "nan",
        "--a=b",
        "--",
        "é",
    ]
)
argv = st.lists(words, max_size=6)
env = st.dictionaries(
    st.sampled_from(["VLLM_USE_V1", "A", "VLLM_ALL2ALL_BACKEND", "SAFETENSORS_FAST_GPU"]), st.text(max_size=4)
)
keys = st.sampled_from([*catalog(), "hopper", "blackwell", "amd", "nvidia", "default", "nobody"])
block = st.fixed_dictionaries({}, optional={"extra_args": argv, "extra_env": env})
sizes = st.integers(-1, 9) | st.dictionaries(keys, st.integers(-1, 9), max_size=2)
names = st.sampled_from([*builtin_strategies(), "pd_cluster", "nonsense"])
modes = st.dictionaries(
    st.sampled_from("ab"),
    st.fixed_dictionaries(
        {"args": argv},
        optional={
            "variants": st.lists(st.sampled_from(["default", "v"])),
            "hardware": st.just({"hopper": "unsupported"}),
        },
    ),
    max_size=2,
)
feature = st.fixed_dictionaries(
    {"args": argv}, optional={"modes": modes, "env": env, "strategies": st.lists(names, max_size=2)}
)
variant = st.fixed_dictionaries(
    {},
    optional={
        "model_id": st.just("a/v"),
        "precision": st.sampled_from(["fp8", "nvfp4", "int4", "?"]),
        "vram_minimum_gb": st.floats(allow_nan=True),
        "tp": sizes,
        "extra_args": argv,
        "hardware_overrides": st.dictionaries(keys, block, max_size=2),
        "supported_hardware": st.lists(keys, max_size=2),
        "docker_image": st.sampled_from(["x:v0.20.2", "", 5, {"amd": 1}]),
    },
)
recipes = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries(
            {"model_id": st.just("a/b"), "base_args": argv, "base_env": env},
            optional={
                "architecture": st.sampled_from(["moe", "dense"]),
                "context_length": st.integers(-5, 2**40),
            },
        ),
        "compatible_strategies": st.just([*builtin_strategies()]) | st.lists(names, max_size=5, unique=True),
    },
    optional={
        "features": st.dictionaries(st.sampled_from(["tool", "think"]), feature, max_size=2),
        "opt_in_features": st.lists(st.sampled_from(["tool", "none"]), max_size=1),
        "variants": st.dictionaries(st.sampled_from(["default", "v"]), variant, max_size=2),
        "hardware_overrides": st.dictionaries(keys, block, max_size=3),
        "strategy_overrides": st.dictionaries(
            names,
            st.fixed_dictionaries({}, optional={"tp": sizes, "extra_args": argv, "env": env}),
            max_size=2,
        ),
        "strategy_hardware": st.dictionaries(
            names,
            st.dictionaries(keys, st.sampled_from(["supported", "unsupported"]), max_size=2),
            max_size=2,
        ),
        "strategy_min_gpus": st.integers(-1, 40)
        | st.dictionaries(keys | names, st.integers(0, 40), max_size=2),
        "default_strategy": names,
    },
)
configs = st.dictionaries(
    st.sampled_from(
        [
            "num_attention_heads",
            "num_key_value_heads",
            "hidden_size",
            "num_hidden_layers",
            "vocab_size",
            "head_dim",
            "num_local_experts",
            "moe_intermediate_size",
            "intermediate_size",
            "max_position_embeddings",
            "kv_lora_rank",
            "sliding_window",
            "layer_types",
            "quantization_config",
            "torch_dtype",
            "text_config",
            "first_k_dense_replace",
        ]
    ),
    st.integers(-3, 5000)
    | st.sampled_from(
        [
            None,
            "bfloat16",
            ["sliding_attention", "full_attention"],
            {"weight_block_size": [128, 128]},
            {"bits": 4, "group_size": 32},
        ]
    ),
)
gpus_a_node = st.sampled_from([1, 2, 3, 4, 8, 8, 0, 17])
plan_options = st.builds(
    PlanOptions,
    model=st.just("a/b"),
    strategy=st.sampled_from(["", "", "", *builtin_strategies(), "nonsense"]),
    variant=st.sampled_from(["", "", "", "default", "v", "w"]),
    features=st.sampled_from([(), (), (("tool", ""),), (("think", "a"),), (("think", "z"), ("?", ""))]),
    without=st.sampled_from([(), (), ("tool",), ("?",)]),
    responses_api=st.sampled_from([False, False, False, True]),
    workarounds=st.sampled_from([(), (), ("piecewise-cudagraphs",), ("?",)]),
    max_model_len=st.sampled_from([None, None, 1, 4096, 2**40]),
    settings=st.lists(st.tuples(words, st.text(max_size=5)), max_size=2).map(tuple),
    env=env.map(lambda pairs: tuple(pairs.items())),
    access=st.sampled_from(["least", "least", "guide", "profiling", "rdma", "?"]),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    recipes,
    plan_options,
    st.sampled_from(list(catalog())),
    gpus_a_node,
    st.sampled_from([1, 1, 1, 2, 0]),
    configs,
    st.data(),
)
def test_make_plan_never_raises_a_foreign_error(
    data: dict[str, Any],
    options: PlanOptions,
    hardware: str,
    gpus: int,
    nodes: int,
    config: dict[str, Any],
    draw: st.DataObject,
) -> None:
    try:
        recipe = check(Recipe, data, "a/b.yaml")
        version = draw.draw(st.sampled_from(["0.11.1", "0.32.0", "0.29.0rc1", "0.20.0", "x", ""]))
        capabilities = draw.draw(
            st.none() | st.just(Capabilities("0.32.0", frozenset({"--x"}), frozenset({"VLLM_USE_V1"})))
        )
        shapes = {"a/b": from_config(config)} if config else {}
        host = Host(catalog()[hardware], gpus, nodes, hub_cache="/hub", cache="/cache", shapes=shapes)
        plan = make_plan(options, host, recipe, image_for(host.hardware.platform, version, "", capabilities))
        for form in FORMATS:
            assert render(plan, form)
        assert json.loads(json.dumps(plan.as_dict()))["layout"]["tp"] >= 1
    except SlipwayError as error:
        assert str(error).startswith("error: ")
        assert error.code in (1, 2)
