"""Check a config.json before anything is computed from it: its source is not trusted.

A refusal names the file and the key. What vLLM may read and a plan does not is not checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from errors import Refused

LARGEST_CONFIG = 16 << 20  # bytes; the config.json of a large model has some KiB
LARGEST_NUMBER = 1 << 40  # more than any dimension of a model, in elements or tokens
FIX = "check that this is the model's folder or name"
# The keys whose values are counts, with the names that older families use.
COUNTS = (
    *("hidden_size", "n_embd", "d_model", "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("num_attention_heads", "n_head", "n_heads", "num_key_value_heads", "head_dim", "vocab_size"),
    *("intermediate_size", "moe_intermediate_size", "max_position_embeddings", "n_positions"),
    *("num_local_experts", "n_routed_experts", "num_experts", "num_experts_per_tok", "sliding_window"),
    *("kv_lora_rank", "qk_rope_head_dim", "first_k_dense_replace", "n_shared_experts"),
)
# Zero says that a model has no such part.
MAY_BE_ZERO = (
    *("num_local_experts", "n_routed_experts", "num_experts", "num_experts_per_tok", "moe_intermediate_size"),
    *("sliding_window", "first_k_dense_replace", "n_shared_experts", "kv_lora_rank", "qk_rope_head_dim"),
)


def parse_config(data: bytes, place: str) -> dict[str, Any]:
    """Return the values of a config.json. Raises Refused if it is not the configuration of a model."""
    what = f"the config.json of {place} is not the configuration of a model"
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise Refused(what, why="it is nested too deeply", fix=FIX) from error
    except ValueError as error:
        raise Refused(what, why=f"it is not JSON: {_reason(data, error)}", fix=FIX) from error
    if not isinstance(values, dict):
        raise Refused(what, why=f"it holds {_kind(values)} instead of an object", fix=FIX)
    if fault := next(_faults(values), ""):
        raise Refused(what, why=fault, fix=FIX)
    return values


def _reason(data: bytes, error: ValueError) -> str:
    start = data.lstrip()[:15].lower()
    if not start:
        return "it is empty"
    if start.startswith((b"<!doctype", b"<html")):
        return "it is an HTML page, as a login page or a proxy sends it"
    if start.startswith(b"version https:"):
        return "it is a pointer of Git LFS, not the file"
    return str(error).partition(";")[0][:120]


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes the object unusable, in the order of importance."""
    if not values:
        yield "it is an empty object"
    if not isinstance(values.get("model_type"), str) or not values["model_type"]:
        yield "it has no model_type"
    names = values.get("architectures")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        yield "it has no architectures"
    yield from _number_faults(values, "")
    text = values.get("text_config")
    if isinstance(text, Mapping):
        yield from _number_faults(text, "text_config.")


def _number_faults(values: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the counts that are not counts. A list has a value for each layer, and null none: both are valid."""
    for key in COUNTS:
        value = values.get(key)
        if value is None or isinstance(value, list):
            continue
        if type(value) is not int:
            yield f"{path}{key} is {_short(value)}, not a whole number"
        elif value < 0 or (value == 0 and key not in MAY_BE_ZERO):
            yield f"{path}{key} is {_short(value)}, not a positive number"
        elif value > LARGEST_NUMBER:
            yield f"{path}{key} is larger than any model has"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
