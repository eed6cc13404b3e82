"""What a user changes in a model's config.json with --hf-overrides: wrong values are refused.

A change of the model's size is not in the shape that layout and memory are computed from, so neither is checked then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from errors import Refused
from launch.planning.json_objects import object_of, options_of_user
from launch.planning.option_values import shown
from launch.spec.plan_options import Pairs
from launch.spec.rope_scaling import LARGEST_FACTOR
from launch.spec.vllm_args import Arg, Draft

FLAG = "--hf-overrides"
TEXT = "text_config"
EXAMPLE = """--set --hf-overrides='{"max_position_embeddings": 65536}'"""
# Keys of config.json that are positive integers in every model.
SIZES = (
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "moe_intermediate_size",
    "n_routed_experts",
    "num_attention_heads",
    "num_experts",
    "num_experts_per_tok",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_local_experts",
    "vocab_size",
)
OBJECTS = ("quantization_config", "rope_parameters", "rope_scaling", TEXT, "vision_config")
ROPE = ("rope_parameters", "rope_scaling")
# Keys that change what a GPU holds or how it can be split. Positions are read by `context_length`.
SHAPE = (
    *(size for size in SIZES if size not in ("max_position_embeddings", "num_experts_per_tok")),
    "architectures",
    "dtype",
    "kv_lora_rank",
    "layer_types",
    "model_type",
    "quantization_config",
    "sliding_window",
    "torch_dtype",
    "vision_config",
)


def overrides_of(draft: Draft) -> Mapping[str, Any] | None:
    """Return the changes to config.json as one mapping; None if there are none, or not as JSON."""
    values = object_of(draft, FLAG)
    if values is None:
        return None
    text = values.get(TEXT)
    return {**values, **text} if isinstance(text, dict) else values


def changed_shape(settings: Pairs) -> tuple[str, ...]:
    """Return the keys that the user changes and that the model's shape is made of."""
    values = overrides_of(Draft(tuple(Arg(flag, (value,)) for flag, value in settings)))
    return tuple(key for key in values or {} if key in SHAPE)


def check_overrides(draft: Draft) -> None:
    """Raise Refused for a value of the user that no model's config.json has."""
    arg = draft.get(FLAG)
    if FLAG not in options_of_user(draft):
        return
    values = object_of(draft, FLAG)
    if values is None:
        got = shown(arg.value) if arg else ""
        raise Refused(f"{FLAG} must be a JSON object (got '{got}')", fix=EXAMPLE)
    text = values.get(TEXT)
    for config in (values, text if isinstance(text, dict) else {}):
        if fault := next(_faults(config), ""):
            raise Refused(f"{FLAG}: {fault}", fix=EXAMPLE)


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the values of a config."""
    for name, value in config.items():
        noun, holds = _wanted(name)
        if noun and not holds(value):
            yield f"'{name}' must be {noun} (got {shown(json.dumps(value))})"
    for name in ROPE:
        yield from _rope_faults(name, config.get(name) or {})


def _wanted(name: str) -> tuple[str, Callable[[Any], bool]]:
    """Return what the value of a key must be, and the check of it."""
    if name in SIZES:
        return "a positive integer", _is_size
    if name in OBJECTS:
        return "a JSON object", lambda value: value is None or isinstance(value, dict)
    return TYPES.get(name, ("", bool))


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "architectures": ("a list of names", _are_texts),
    "layer_types": ("a list of names", lambda value: value is None or _are_texts(value)),
    "model_type": ("a name", lambda value: isinstance(value, str)),
    "sliding_window": ("a positive integer or null", lambda value: value is None or _is_size(value)),
}


def _rope_faults(name: str, rope: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a scaling of the positions; that of each kind of layer is an object in it."""
    for key, value in rope.items():
        place, got = f"{name}.{key}", shown(json.dumps(value))
        if isinstance(value, dict):
            yield from _rope_faults(place, value)
        elif key in ("rope_type", "type") and not isinstance(value, str):
            yield f"'{place}' must be a name such as yarn (got {got})"
        elif key == "factor" and not _is_factor(value):
            yield f"'{place}' must be a number from 1 to {LARGEST_FACTOR:,} (got {got})"
        elif key == "original_max_position_embeddings" and not _is_size(value):
            yield f"'{place}' must be a positive integer (got {got})"


def _is_factor(value: Any) -> bool:
    return type(value) in (int, float) and 1 <= value <= LARGEST_FACTOR
