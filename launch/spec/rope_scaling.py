"""The longest context that a model's rotary positions allow, by the factor of their scaling.

vLLM multiplies max_position_embeddings by the factor of linear and dynamic scaling. YaRN extends the context that the
model was trained with, `original_max_position_embeddings` (_get_and_verify_max_len in vllm/config/model.py, 0.32.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launch.spec.layers import LARGEST

YARN = ("yarn", "deepseek_yarn", "telechat3-yarn")
LONG = ("longrope", "su")
# Types without a factor, or whose factor is in max_position_embeddings already.
UNSCALED = (*YARN, *LONG, "llama3", "deepseek_llama_scaling", "default", "mrope", "proportional", "")
LARGEST_FACTOR = 10_000
FAMILY = "gemma3"  # its max_position_embeddings is scaled already


@dataclass(frozen=True)
class Context:
    """Tokens: the context of a server without --max-model-len, and the longest that it can be set to."""

    default: int | None
    longest: int | None


def context_of(config: Mapping[str, Any], own: int | None) -> Context:
    """Return the contexts of a config whose max_position_embeddings is `own`."""
    if not own:
        return Context(own, own)
    default = longest = own
    for rope in _scalings(config):
        kind, factor = str(rope.get("rope_type", rope.get("type", ""))), _factor(rope)
        trained = _int(rope, "original_max_position_embeddings") or _int(
            config, "original_max_position_embeddings"
        )
        if kind in LONG and trained:
            default = min(own, trained)
        elif kind in YARN and factor:
            longest = max(longest, int((trained or own) * factor))
        elif factor and kind not in UNSCALED and FAMILY not in _family(config):
            default = longest = max(longest, int(own * factor))
    return Context(default, longest)


def _scalings(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the scalings under `rope_scaling` or `rope_parameters`, which can have one for each kind of layer."""
    for key in ("rope_scaling", "rope_parameters"):
        value = config.get(key)
        if isinstance(value, Mapping):
            nested = [inner for inner in value.values() if isinstance(inner, Mapping)]
            yield from nested or [value]


def _family(config: Mapping[str, Any]) -> str:
    return str(config.get("model_type", ""))


def _factor(rope: Mapping[str, Any]) -> float:
    """Return the factor; 0 if it is not a number that scales anything."""
    factor = rope.get("factor")
    if not isinstance(factor, (int, float)) or isinstance(factor, bool):
        return 0
    return factor if 1 <= factor <= LARGEST_FACTOR else 0


def _int(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return 0
    return int(value) if 0 < value <= LARGEST else 0
