"""The tiny checkpoint: its files, tensors, dimensions, tokenizer and chat template."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

from launch.demo.tiny_checkpoint import FILES, write_checkpoint
from scripts.tiny_model.checkpoint import TEMPLATE
from scripts.tiny_model.tokenizer import BOS, EOS, MARKERS, TURN


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_checkpoint(folder)
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_write_checkpoint_copies_small_files(checkpoint: Path) -> None:
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    assert files == {path.name: path.read_bytes() for path in FILES.iterdir()}
    assert sum(map(len, files.values())) < 5_000_000


def test_model_card_has_the_hash_of_each_shard(checkpoint: Path) -> None:
    card = (checkpoint / "README.md").read_text()
    for shard in checkpoint.glob("*.safetensors"):
        assert f"{hashlib.sha256(shard.read_bytes()).hexdigest()}  {shard.name}" in card


def test_index_names_the_file_of_each_tensor(checkpoint: Path) -> None:
    index = read(checkpoint / "model.safetensors.index.json")
    shards = sorted(path.name for path in checkpoint.glob("*.safetensors"))
    assert len(shards) == 3
    weight_map: dict[str, str] = {}
    for shard in shards:
        with safe_open(checkpoint / shard, framework="np") as tensors:
            assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"BF16"}  # noqa: SIM118
            weight_map |= dict.fromkeys(tensors.keys(), shard)
    assert weight_map == index["weight_map"]


def test_tensors_have_the_names_of_minimax_m2(checkpoint: Path) -> None:
    names = set(read(checkpoint / "model.safetensors.index.json")["weight_map"])
    layer = {name.removeprefix("model.layers.1.") for name in names if name.startswith("model.layers.1.")}
    assert layer == {
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
        *(
            f"self_attn.{part}.weight"
            for part in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")
        ),
        "block_sparse_moe.gate.weight",
        "block_sparse_moe.e_score_correction_bias",
        *(f"block_sparse_moe.experts.{n}.{part}.weight" for n in range(8) for part in ("w1", "w2", "w3")),
    }
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} < names


def test_dimensions_are_valid_for_two_ranks(checkpoint: Path) -> None:
    config = read(checkpoint / "config.json")
    for name in (
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "num_local_experts",
        "vocab_size",
    ):
        assert config[name] % 2 == 0, name
    assert config["architectures"] == ["MiniMaxM2ForCausalLM"]
    assert (config["scoring_func"], config["use_routing_bias"], config["use_qk_norm"]) == (
        "sigmoid",
        True,
        True,
    )


def test_sampling_defaults_are_those_of_minimax_m2(checkpoint: Path) -> None:
    defaults = read(checkpoint / "generation_config.json")
    assert (defaults["temperature"], defaults["top_p"], defaults["top_k"]) == (1.0, 0.95, 40)


def test_tokenizer_has_a_token_for_each_id_of_the_model(checkpoint: Path) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    config = read(checkpoint / "config.json")
    assert tokenizer.get_vocab_size() == config["vocab_size"]
    assert tokenizer.id_to_token(config["eos_token_id"]) == EOS
    text = f"{BOS}{TURN}user\nHéllo, 世界!{EOS}" + "".join(MARKERS)
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
    for marker in MARKERS:
        assert len(tokenizer.encode(marker).ids) == 1


def test_a_name_has_the_same_tokens_in_a_question_and_in_a_call(checkpoint: Path) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    name = tokenizer.encode("Montevideo").ids
    for text in ("weather in Montevideo?", '<parameter name="city">Montevideo</parameter>'):
        ids = tokenizer.encode(text).ids
        assert any(ids[i : i + len(name)] == name for i in range(len(ids)))


def test_chat_template_is_the_one_that_the_model_was_trained_with(checkpoint: Path) -> None:
    assert (checkpoint / "chat_template.jinja").read_text() == TEMPLATE.read_text()
