"""The longest context that a command may serve: a factor in config.json or in --hf-overrides extends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from errors import Refused
from launch.planning.context_length import check_context, longest_of
from launch.spec.model_config import ModelShape
from launch.spec.vllm_args import Draft, EnvVar, parse

OWN = ModelShape(context=32768, source="config.json")
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def draft(overrides: Any = None, **env: str) -> Draft:
    text = overrides if isinstance(overrides, str) else json.dumps(overrides)
    argv = ("--hf-overrides", text) if overrides is not None else ()
    return Draft(parse(argv), tuple(EnvVar(*pair) for pair in env.items()))


LONGEST = [
    (None, 32768),
    ({"rope_scaling": YARN}, 131072),
    ({"rope_parameters": YARN}, 131072),
    ({"text_config": {"rope_parameters": YARN}}, 131072),
    ({"max_position_embeddings": 65536}, 65536),
    ({"max_position_embeddings": -1}, 32768),
    ({"rope_scaling": {"type": "dynamic", "factor": 2}}, 65536),
    ({"rope_theta": 1e6}, 32768),
    ("{broken", 32768),
    ("[1]", 32768),
]


@pytest.mark.parametrize(("overrides", "longest"), LONGEST)
def test_overrides_extend_the_context(overrides: Any, longest: int) -> None:
    assert longest_of(draft(overrides), OWN) == longest
    check_context(longest, draft(overrides), OWN, "m")
    with pytest.raises(Refused, match=f"m has {longest:,}"):
        check_context(longest + 1, draft(overrides), OWN, "m")


def test_the_factor_in_config_json_extends_the_context() -> None:
    scaled = ModelShape(context=32768, longest=131072)
    check_context(131072, draft(), scaled, "m")
    with pytest.raises(Refused, match="m has 131,072"):
        check_context(131073, draft(), scaled, "m")


def test_the_user_may_allow_more() -> None:
    check_context(10**6, draft(VLLM_ALLOW_LONG_MAX_MODEL_LEN="1"), OWN, "m")


def test_a_context_that_is_not_known_is_not_checked() -> None:
    check_context(10**6, draft(), None, "m")
    check_context(10**6, draft(), ModelShape(), "m")
    check_context(None, draft(), OWN, "m")
