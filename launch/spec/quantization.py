"""The number formats of a checkpoint's weights, from the quantization_config in its config.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launch.spec.layers import LARGEST

BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "fp8": 1.0, "int8": 1.0, "mxfp8": 1.03125}
# 4-bit formats with their scales: a byte of scale for 16 (NVFP4) or 32 (MXFP4) values, 2 bytes for 128 (INT4).
BYTES |= {"nvfp4": 0.5625, "fp4": 0.5625, "mxfp4": 0.53125, "int4": 0.516, "bf16": 2.0, "fp16": 2.0}
# What a list of modules that stay as they are must mention for each part of a model.
PARTS = {
    "attention": ("self_attn", "attention", "q_proj", "o_proj"),
    "state": (
        "linear_attn.in_proj_qkv",
        "linear_attn.out_proj",
        "linear_attn*",
        "linear_attn.*",
        "mixer.in_proj",
        "mamba",
    ),
    "shared": ("shared_expert.", "shared_experts", "shared_expert*"),
    "dense": ("mlp.down_proj", "mlp\\.(gate"),
}
LISTS = ("modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "exclude")


@dataclass(frozen=True)
class Quantization:
    """The format of quantized weights, its block or group, and the parts of the model that are not quantized."""

    precision: str = ""
    block: int | None = None
    plain: tuple[str, ...] = ()
    kv_dtype: str = ""  # fp8 if the checkpoint has an fp8 KV cache


def quantization(config: Mapping[str, Any]) -> Quantization:
    """Return the quantization of a config.json; that of a multimodal model may be under `text_config`."""
    text = config.get("text_config")
    q = next((found for c in (config, text) if (found := _given(c))), None)
    if q is None:
        return Quantization()
    groups = list(_groups(q))
    precision, block = _format(q, groups)
    scheme = q.get("kv_cache_scheme") or _inner(q).get("kv_cache_quant_algo") or q.get("kv_cache_quant_algo")
    fp8 = (isinstance(scheme, Mapping) and scheme.get("num_bits") == 8) or str(scheme).upper() == "FP8"
    return Quantization(precision, block, tuple(_plain(q)), "fp8" if fp8 else "")


def _given(config: Any) -> Mapping[str, Any] | None:
    found = config.get("quantization_config") if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _inner(q: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ModelOpt's own settings, which its older files keep one level deeper."""
    inner = q.get("quantization")
    return inner if isinstance(inner, Mapping) else {}


def _groups(q: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the weights of each group of a compressed-tensors config."""
    groups = q.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            yield weights


def _format(q: Mapping[str, Any], groups: list[Mapping[str, Any]]) -> tuple[str, int | None]:
    blocks, method = q.get("weight_block_size"), str(q.get("quant_method", "")).lower()
    algorithm = f"{q.get('quant_algo')} {_inner(q).get('quant_algo')} {q.get('format')}".lower()
    if isinstance(blocks, (list, tuple)) and blocks and type(blocks[0]) is int and blocks[0] > 0:
        return "mxfp8" if "mxfp8" in method or "mxfp8" in algorithm else "fp8", blocks[0]
    for name in ("nvfp4", "mxfp4", "mxfp8"):
        if name in algorithm or name in method:
            return name, _count(q, "group_size")
    if type(q.get("bits")) is int:
        return f"int{q['bits']}", _count(q, "group_size")
    if groups:
        return _of_group(groups[0])
    if "fp8" in algorithm or "fp8" in method:
        return "fp8", None
    return method, _count(q, "group_size")


def _of_group(weights: Mapping[str, Any]) -> tuple[str, int | None]:
    bits, structure = weights.get("num_bits"), weights.get("block_structure")
    block = (
        structure[0]
        if isinstance(structure, list) and structure and type(structure[0]) is int
        else _count(weights, "group_size")
    )
    if weights.get("type") == "float":
        return {8: "fp8", 4: "nvfp4"}.get(bits, f"float{bits}") if type(bits) is int else "", block
    return f"int{bits}", block


def _plain(q: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parts that a list of the config leaves as they are."""
    lists = [c.get(name) for c in (q, _inner(q)) for name in LISTS]
    text = " ".join(str(module) for found in lists if isinstance(found, list) for module in found)
    return (part for part, words in PARTS.items() if any(word in text for word in words))


def _count(config: Mapping[str, Any], name: str) -> int | None:
    value = config.get(name)
    return value if type(value) is int and 0 < value <= LARGEST else None
