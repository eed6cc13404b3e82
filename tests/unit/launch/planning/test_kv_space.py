"""The size of the KV cache is one value for the estimate and for the server."""

from __future__ import annotations

import pytest

from errors import Refused
from launch.planning.kv_space import KvSpace, kv_space, served_shape
from launch.spec.model_config import ModelShape
from launch.spec.plan import Plan
from launch.spec.vllm_args import Draft, EnvVar, parse
from tests.unit.launch.plan_builders import M2, TINY, plan

SPACE = "VLLM_CPU_KVCACHE_SPACE"


def draft(*argv: str, **env: str) -> Draft:
    return Draft(parse(argv), tuple(EnvVar(*pair) for pair in env.items()))


def test_kv_space_of_a_gpu_is_a_share_of_its_memory() -> None:
    assert kv_space(draft(), "cuda") == KvSpace(0.92)
    assert kv_space(draft("--gpu-memory-utilization=0.5"), "rocm") == KvSpace(0.5)
    assert kv_space(draft(VLLM_CPU_KVCACHE_SPACE="7"), "cuda") == KvSpace(0.92)


def test_an_older_vllm_takes_a_smaller_share() -> None:
    assert kv_space(draft(), "cuda", "0.24.0") == KvSpace(0.9)
    assert tokens(plan(M2, "h200", 4, vllm="0.13.0")) < tokens(plan(M2, "h200", 4, vllm="0.32.0"))


@pytest.mark.parametrize(("amount", "gib"), [("8G", 8.0), ("1073741824", 1.0), ("512M", 0.5), ("2T", 2048.0)])
def test_kv_space_reads_amounts_as_vllm_does(amount: str, gib: float) -> None:
    assert kv_space(draft("--kv-cache-memory-bytes", amount), "cuda").gib == gib
    assert kv_space(draft("--kv-cache-memory-bytes", amount), "cpu").gib == gib


def test_kv_space_of_a_cpu_is_fixed_and_the_variable_wins() -> None:
    assert kv_space(draft(), "cpu").gib == 4
    assert kv_space(draft("--kv-cache-memory-bytes=8G", VLLM_CPU_KVCACHE_SPACE="2"), "cpu").gib == 2


@pytest.mark.parametrize("share", ["7", "0", "-1", "abc", "nan", "1.5", "1e9", "", "0.9.9"])
def test_kv_space_refuses_an_invalid_share(share: str) -> None:
    with pytest.raises(Refused, match="above 0 and up to 1"):
        kv_space(draft(f"--gpu-memory-utilization={share}"), "cuda")


@pytest.mark.parametrize("size", ["0", "-1", "0.5", "", "abc", "9" * 5000])
def test_kv_space_refuses_a_size_that_vllm_cannot_read(size: str) -> None:
    with pytest.raises(Refused, match=f"{SPACE} must be a positive whole number of GiB"):
        kv_space(draft(VLLM_CPU_KVCACHE_SPACE=size), "cpu")


@pytest.mark.parametrize("amount", ["0", "x", "8GB", "-8G", "9" * 5000])
def test_kv_space_refuses_an_invalid_amount(amount: str) -> None:
    with pytest.raises(Refused, match="must be an amount such as 8G"):
        kv_space(draft(f"--kv-cache-memory-bytes={amount}"), "cuda")


def tokens(made: Plan) -> int:
    return made.fit.kv_tokens or 0


def test_a_plan_counts_the_kv_cache_that_the_user_sets() -> None:
    flag = "--kv-cache-memory-bytes"
    small = tokens(plan(M2, "h200", 4, settings=((flag, "10G"),)))
    assert tokens(plan(M2, "h200", 4, settings=((flag, "20G"),))) == pytest.approx(2 * small, rel=0.01)
    with pytest.raises(Refused, match="does not fit"):
        plan(M2, "h200", 4, settings=((flag, "120G"),))


def test_a_plan_on_cpu_counts_whole_blocks() -> None:
    """A request of 2048 tokens takes three blocks of 1000, so 2097 blocks hold 699 requests."""
    assert tokens(plan(TINY, "cpu")) == 2_097_152
    assert tokens(plan(TINY, "cpu", settings=(("--block-size", "1000"),))) == 2097 * 2048 // 3


def test_dtype_changes_what_a_token_and_a_weight_take() -> None:
    shape = ModelShape(dtype="bfloat16", weight_bytes=100)
    assert served_shape(shape, draft("--dtype", "float")) == ModelShape(dtype="float32", weight_bytes=200)
    assert served_shape(shape, draft("--dtype", "auto")) == shape
    assert tokens(plan(TINY, "cpu", settings=(("--dtype", "float32"),))) == 1_048_576


def test_a_server_of_text_loads_no_encoder() -> None:
    """By --language-model-only, Qwen3.8-27B on an RTX 5090 has 37 blocks (1.77 GiB) more; its encoder is 0.85 GiB."""
    shape = ModelShape(dtype="bfloat16", weight_bytes=1000, vision_weights=200)
    assert served_shape(shape, draft("--language-model-only")) == ModelShape(
        dtype="bfloat16", weight_bytes=600
    )
    unknown = ModelShape(dtype="bfloat16", vision_weights=200)
    assert served_shape(unknown, draft("--language-model-only")) == ModelShape(dtype="bfloat16")
    assert served_shape(None, draft("--language-model-only")) is None
