"""What a record says of a server: its layout, its command and its variables, without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.bench.server import environment, layout_of, limits_of, recipe_hash, without_secrets


@pytest.mark.parametrize(
    ("options", "layout"),
    [
        ("", {"tp": 1, "pp": 1, "dp": 1, "ep": 1}),
        ("--tensor-parallel-size 4", {"tp": 4, "pp": 1, "dp": 1, "ep": 1}),
        ("-tp 4 --enable-expert-parallel", {"tp": 4, "pp": 1, "dp": 1, "ep": 4}),
        ("--data-parallel-size=8 -pp 2 -ep", {"tp": 1, "pp": 2, "dp": 8, "ep": 8}),
    ],
)
def test_layout_of_a_command(options: str, layout: dict[str, int]) -> None:
    assert layout_of(("vllm", "serve", "m", *options.split())) == layout


def test_without_secrets_hides_the_values_of_keys_and_keeps_tokenizers() -> None:
    argv = (
        "--api-key",
        "sk-1",
        "--api-key=sk-2",
        "--hf-token",
        "hf_1",
        "--tokenizer",
        "x",
        "--max-tokens",
        "5",
    )
    assert without_secrets(argv) == (
        "--api-key", "***", "--api-key=***", "--hf-token", "***", "--tokenizer", "x", "--max-tokens", "5",
    )  # fmt: skip


SECRET = "sk-verysecret"


@given(
    st.sampled_from(
        ["VLLM_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "db_password", "Keys"]
    )
)
def test_environment_leaves_out_secrets(name: str) -> None:
    assert environment([f"{name}={SECRET}", "A=1"], []) == {"A": "1"}


def test_environment_is_what_the_container_adds_to_its_image() -> None:
    variables = ["PATH=/bin", "VLLM_USE_V1=1", "TOKENIZERS_PARALLELISM=false", "EMPTY="]
    assert environment(variables, ["PATH=/bin"]) == {
        "VLLM_USE_V1": "1", "TOKENIZERS_PARALLELISM": "false", "EMPTY": "",
    }  # fmt: skip


def test_environment_leaves_out_addresses_with_a_login() -> None:
    assert environment(["http_proxy=http://me:secret@proxy:3128", "x=http://proxy:3128"], []) == {
        "x": "http://proxy:3128"
    }


def test_limits_of_a_container() -> None:
    config = {
        "NanoCpus": 1_500_000_000,
        "Memory": 1 << 30,
        "ShmSize": 64,
        "PidsLimit": 512,
        "CpusetCpus": "0-3",
    }
    limits = limits_of(config, "GPU-1,GPU-2")
    assert (limits.cpus, limits.memory_bytes, limits.shm_bytes, limits.pids) == (1.5, 1 << 30, 64, 512)
    assert (limits.cpuset, limits.gpus) == ("0-3", ("GPU-1", "GPU-2"))
    assert limits_of({"CpuQuota": 50_000, "PidsLimit": None, "Memory": None}, "").cpus == 0.5


def test_recipe_hash_is_that_of_the_builtin_recipe() -> None:
    assert len(recipe_hash("MiniMaxAI/MiniMax-M2")) == 64
    assert recipe_hash("MiniMaxAI/MiniMax-M2") != recipe_hash("MiniMaxAI/MiniMax-M2.1")
    assert recipe_hash("nobody/nothing") == recipe_hash("") == ""
