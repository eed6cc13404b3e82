"""Changes to a model's config.json by --hf-overrides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from errors import Refused
from launch.planning.context_length import longest_of
from launch.planning.model_overrides import changed_shape, check_overrides
from launch.planning.speculation import Speculation, speculation
from launch.planning.vllm_versions import USER
from launch.spec.model_config import ModelShape
from launch.spec.vllm_args import Arg, Draft
from tests.unit.launch.plan_builders import M2
from tests.unit.launch.plan_builders import plan as make

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"num_local_experts": 0}, "'num_local_experts' must be a positive integer (got 0)"),
    ({"num_local_experts": "x"}, "must be a positive integer"),
    ({"moe_intermediate_size": -5}, "must be a positive integer"),
    ({"quantization_config": 3}, "'quantization_config' must be a JSON object (got 3)"),
    ({"text_config": []}, "'text_config' must be a JSON object"),
    ({"vision_config": 3}, "'vision_config' must be a JSON object"),
    ({"architectures": "x"}, "'architectures' must be a list of names"),
    ({"architectures": []}, "'architectures' must be a list of names"),
    ({"layer_types": 3}, "'layer_types' must be a list of names"),
    ({"model_type": 7}, "'model_type' must be a name (got 7)"),
    ({"sliding_window": "x"}, "must be a positive integer or null"),
    ({"rope_scaling": {"rope_type": "yarn", "factor": -4}}, "'rope_scaling.factor' must be a number from 1"),
    ({"rope_scaling": {"rope_type": "yarn", "factor": float("nan")}}, "'rope_scaling.factor' must be"),
    ({"rope_scaling": {"rope_type": "yarn", "factor": 1e300}}, "from 1 to 10,000"),
    ({"rope_scaling": {"rope_type": ["x"]}}, "'rope_scaling.rope_type' must be a name"),
    ({"rope_parameters": {"full": {"factor": "x"}}}, "'rope_parameters.full.factor' must be a number"),
    ({"rope_scaling": {"original_max_position_embeddings": "a"}}, "must be a positive integer"),
    ({"text_config": {"rope_scaling": {"factor": 0}}}, "'rope_scaling.factor' must be a number"),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG)
def test_a_value_that_no_config_has_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_overrides(Draft((Arg("--hf-overrides", (json.dumps(overrides),), USER),)))
    assert message in str(refusal.value)


def test_a_dotted_change_is_checked_and_read() -> None:
    dotted = Draft((Arg("--hf-overrides.max_position_embeddings", ("x",), USER),))
    with pytest.raises(Refused, match="must be a positive integer"):
        check_overrides(dotted)
    own = ModelShape(context=32768)
    yarn = (("rope_type", "yarn"), ("factor", "4"), ("original_max_position_embeddings", "32768"))
    draft = Draft(tuple(Arg(f"--hf-overrides.rope_scaling.{key}", (value,), USER) for key, value in yarn))
    check_overrides(draft)
    assert longest_of(draft, own) == 131072


def test_a_dotted_speculation_counts() -> None:
    draft = Draft(
        (
            Arg("--speculative-config.method", ("mtp",), USER),
            Arg("--speculative-config.num_speculative_tokens", ("2",), USER),
        )
    )
    assert speculation(draft, ModelShape(mtp_layers=1)) == Speculation("mtp", True, 1, 2)


def test_the_short_options_of_speculation_count() -> None:
    draft = Draft((Arg("--spec-method", ("mtp",), USER), Arg("--spec-tokens", ("2",), USER)))
    assert speculation(draft, ModelShape(mtp_layers=1)) == Speculation("mtp", True, 1, 2)


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ({"num_hidden_layers": 4, "max_position_embeddings": 65536}, ("num_hidden_layers",)),
        ({"text_config": {"num_attention_heads": 7}}, ("num_attention_heads",)),
        ({"rope_theta": 1e6, "use_cache": True}, ()),
    ],
)
def test_the_keys_of_the_shape_are_named(overrides: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert changed_shape((("--hf-overrides", json.dumps(overrides)),)) == keys


def test_a_plan_says_what_it_could_not_check() -> None:
    made = make(M2, "h200", 4, settings=(("--hf-overrides", '{"num_hidden_layers": 4}'),))
    assert (made.fit.result, made.fit.detail) == ("unknown", "--hf-overrides changes num_hidden_layers")
    assert "--hf-overrides changes num_hidden_layers, so layout and memory were not checked" in made.notes
