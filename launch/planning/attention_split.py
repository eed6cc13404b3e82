"""Check whether tensor parallelism can split what precedes the MLP: heads, their quantization blocks, states, outputs.

Each rule names the file of vLLM 0.32.0 that has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launch.plural import count
from launch.spec.model_config import ModelShape

VISION_SINCE = "0.32"


@dataclass(frozen=True)
class Matrix:
    """A matrix of attention. `width` is one rank's share of the dimension that ranks divide."""

    name: str
    width: int
    arithmetic: str


def attention_faults(shape: ModelShape, tp: int) -> Iterator[str]:
    """Yield why this many ranks cannot split the attention."""
    faults = [*_head_faults(shape, tp), *_state_faults(shape, tp), *_output_group_faults(shape, tp)]
    yield from faults
    if not faults and "attention" not in shape.plain:
        yield from _block_faults(shape, tp)


def vision_note(shape: ModelShape, tp: int) -> str:
    """Return a note on an encoder of images whose heads the ranks cannot divide, else "".

    vLLM 0.32 then runs the encoder data parallel (is_vit_use_data_parallel in vllm/model_executor/models/vision.py).
    """
    if not shape.vision_heads or shape.vision_heads % tp == 0:
        return ""
    uneven = f"the encoder of images has {shape.vision_heads} heads, which {tp} ranks cannot divide"
    older = "--set --mm-encoder-tp-mode=data or --set --language-model-only"
    return f"{uneven}: vLLM {VISION_SINCE} runs it whole on each rank; an older one may need {older}"


def _head_faults(shape: ModelShape, tp: int) -> Iterator[str]:
    """Compare heads with ranks (vllm/config/model.py, verify_with_parallel_config; layers/linear.py for KV heads)."""
    if shape.heads and shape.heads % tp:
        yield _uneven(tp, shape.heads, "attention heads")
    kv = shape.kv_heads
    if not kv or shape.is_mla:
        return
    if kv >= tp and kv % tp:
        yield _uneven(tp, kv, "KV heads")
    if kv < tp and tp % kv:
        yield f"TP{tp}: {tp} / {kv} KV heads = {tp / kv:g} copies, not a whole number"


def _state_faults(shape: ModelShape, tp: int) -> Iterator[str]:
    """Layers with a state divide their heads too (divide in vllm/model_executor/layers/mamba/mamba_utils.py)."""
    uneven = [heads for heads in shape.state_heads if heads % tp]
    if uneven:
        yield _uneven(tp, min(uneven), "heads of linear attention")


def _output_group_faults(shape: ModelShape, tp: int) -> Iterator[str]:
    """DeepSeek-V4 projects its outputs in groups (n_local_groups in vllm/models/deepseek_v4/attention.py)."""
    if shape.output_groups and shape.output_groups % tp:
        yield _uneven(tp, shape.output_groups, "groups of attention outputs (o_groups)")


def _uneven(tp: int, number: int, name: str) -> str:
    return f"TP{tp}: {number} {name} / {tp} = {number / tp:g}, not a whole number"


def _block_faults(shape: ModelShape, tp: int) -> Iterator[str]:
    """Compare the matrices of a rank with the quantization: FP8 in blocks, INT4 in groups of its inputs.

    FP8: validate_fp8_block_shape in vllm/model_executor/layers/quantization/utils/fp8_utils.py. INT4 (AWQ, GPTQ,
    compressed-tensors): verify_marlin_supports_shape in .../utils/marlin_utils.py.
    """
    block, heads = shape.block, shape.heads
    if not block or not heads or (shape.precision != "fp8" and tp == 1):
        return
    if shape.precision == "fp8":
        matrices = [*_columns(shape, heads, tp), *_rows(shape, heads, tp)]
    elif shape.precision == "int4":
        matrices = list(_rows(shape, heads, tp))
    else:
        return
    for matrix in matrices:
        if matrix.width % block:
            divided = f"{matrix.name} {matrix.arithmetic} = {matrix.width}"
            unit = "block" if shape.precision == "fp8" else "group"
            yield f"TP{tp}: {divided} is not divisible by the {shape.precision} {unit} of {block}"


def _columns(shape: ModelShape, heads: int, tp: int) -> Iterator[Matrix]:
    """Yield the matrices whose output a rank has a part of."""
    if shape.is_mla:
        dim = shape.mla_head_dim + shape.mla_rope
        if tp > 1 and shape.mla_head_dim:
            yield Matrix("queries", heads // tp * dim, f"{count(heads // tp, 'head')} x {dim}")
    elif shape.kv_heads and shape.head_dim:
        kv = max(1, shape.kv_heads // tp)
        yield Matrix("keys", kv * shape.head_dim, f"{count(kv, 'KV head')} x {shape.head_dim}")


def _rows(shape: ModelShape, heads: int, tp: int) -> Iterator[Matrix]:
    """Yield the matrix whose input a rank has a part of: the output projection."""
    dim = shape.value_dim or (shape.mla_head_dim if shape.is_mla else shape.head_dim)
    if tp > 1 and dim and not shape.output_groups:
        yield Matrix("attention output", heads // tp * dim, f"{count(heads // tp, 'head')} x {dim}")
