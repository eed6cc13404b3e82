"""The memory for the KV cache that the options of a command set. The plan computes its tokens from the same value.

On a GPU it is what a share of the GPU's memory leaves, on a CPU a fixed amount. `--kv-cache-memory-bytes` is a fixed
amount on both, in bytes of one rank (vllm/config/cache.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from errors import Refused
from launch.planning.memory import constants
from launch.planning.weight_size import GIB
from launch.spec.model_config import BYTES, ModelShape
from launch.spec.vllm_args import Arg, Draft

SHARE, BYTES_FLAG = "--gpu-memory-utilization", "--kv-cache-memory-bytes"
TEXT_ONLY = "--language-model-only"
CPU_SPACE = "VLLM_CPU_KVCACHE_SPACE"  # whole GiB; it overrides the flag (vllm/platforms/cpu.py)
TYPES = {"half": "float16", "float": "float32"}  # other names of --dtype
# vLLM's human_readable_int (vllm/utils/argparse_utils.py): 1k is 1000, 1K is 1024.
AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([kKmMgGtT]?)", re.ASCII)
UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
    "T": 2**40,
}


@dataclass(frozen=True)
class KvSpace:
    """The share of a GPU's memory to use, and the GiB of a KV cache of fixed size (None: what the share leaves)."""

    utilization: float
    gib: float | None = None


def kv_space(draft: Draft, platform: str, version: str = "") -> KvSpace:
    """Return the space that these options set, or this vLLM's default.

    Raises Refused for a value that vLLM does not accept.
    """
    arg = draft.get(BYTES_FLAG)
    gib = _bytes(arg.value) / GIB if arg else None
    if platform == "cpu":
        given = next((v.value for v in draft.env if v.name == CPU_SPACE), None)
        gib = float(_whole_gib(given)) if given is not None else gib
        gib = constants().cpu_kv_gib if gib is None else gib
    return KvSpace(_share(draft, version), gib)


def served_shape(shape: ModelShape | None, draft: Draft) -> ModelShape | None:
    """Return the shape that the server loads: in the type of `--dtype`, and with `--language-model-only` no encoder."""
    if shape is None:
        return None
    return _in_type(_without_encoder(shape) if draft.get(TEXT_ONLY) else shape, draft)


def _without_encoder(shape: ModelShape) -> ModelShape:
    total, size = shape.weight_bytes, shape.vision_weights * BYTES.get(shape.dtype, 0)
    return replace(shape, vision_weights=0, weight_bytes=total and max(0, int(total - size)))


def _in_type(shape: ModelShape, draft: Draft) -> ModelShape:
    """Return the shape in the type that `--dtype` sets; `auto` keeps that of the checkpoint."""
    arg = draft.get("--dtype")
    dtype = TYPES.get(arg.value, arg.value) if arg else ""
    if dtype == shape.dtype or dtype not in BYTES or shape.dtype not in BYTES:
        return shape
    total = shape.weight_bytes
    if total is not None and not shape.precision:
        total = int(total * BYTES[dtype] / BYTES[shape.dtype])
    experts = shape.expert_bytes if shape.precision else None
    return replace(shape, dtype=dtype, weight_bytes=total, expert_bytes=experts)


def with_share(draft: Draft) -> Draft:
    """Return the command with the share that the estimate uses: vLLM's default was lower before."""
    if draft.get(SHARE) or draft.get(BYTES_FLAG):
        return draft
    why = "the share of a GPU's memory that the estimate of the KV cache uses"
    return draft.add((Arg(SHARE, (f"{constants().utilization:g}",), "rule: KV cache", why),))


def _share(draft: Draft, version: str) -> float:
    arg = draft.get(SHARE)
    if arg is None:
        return constants().default_utilization(version)
    share = _number(arg.value)
    if share is not None and 0 < share <= 1:
        return share
    raise Refused(
        f"{SHARE} must be a number above 0 and up to 1 (got '{arg.value[:40]}')", fix=f"--set {SHARE}=0.9"
    )


def _number(text: str) -> float | None:
    try:
        return float(text) if text.isascii() else None
    except ValueError:
        return None


def _bytes(text: str) -> float:
    match = AMOUNT.fullmatch(text)
    if not match or not float(match[1]):
        raise Refused(
            f"{BYTES_FLAG} must be an amount such as 8G (got '{text[:40]}')", fix=f"--set {BYTES_FLAG}=8G"
        )
    return float(match[1]) * UNITS[match[2]]


def _whole_gib(text: str) -> int:
    if re.fullmatch(r"[1-9]\d{0,5}", text, re.ASCII):
        return int(text)
    raise Refused(
        f"{CPU_SPACE} must be a positive whole number of GiB (got '{text[:40]}')", fix=f"--env {CPU_SPACE}=4"
    )
