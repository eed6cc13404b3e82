"""Create a MiniMax-M2 checkpoint for a laptop: real architecture, tokenizer markers and files, random weights.

The demo and the tests serve it with real vLLM on a CPU. Its answers are random text, and the code that produces them
is the same as for the 230 GB model. The names of weights and settings are those that vLLM's
`model_executor/models/minimax_m2.py` and transformers' `minimax_m2` configuration read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MODEL = "slipway/MiniMax-M2-tiny"
SHARDS = 3
SEED = 2

BOS, TURN, EOS = "]~!b[", "]~b]", "[e~["
MARKERS = ("<think>", "</think>", "<minimax:tool_call>", "</minimax:tool_call>")

# The tokenizer is trained on this; any English text works.
PROSE = """A slipway is a ramp on the shore where a ship is built and from which she is launched. The keel
is laid, the frames are raised, the hull is closed plate by plate. When the work is done the blocks are
knocked away and the ship slides down the greased timbers into the water. What is the answer to the
question? The model reads the prompt, thinks about it, and writes one word after another until the end of
the turn."""

CHAT_TEMPLATE = """{{- ']~!b[' -}}
{%- if tools %}{{ ']~b]system\\nTools: ' ~ (tools | tojson) ~ '[e~[\\n' }}{% endif -%}
{%- for message in messages -%}
{%- set role = 'ai' if message.role == 'assistant' else message.role -%}
{{- ']~b]' ~ role ~ '\\n' ~ (message.content or '') -}}
{%- if message.tool_calls -%}
{{- '<minimax:tool_call>' ~ (message.tool_calls | tojson) ~ '</minimax:tool_call>' -}}
{%- endif -%}
{{- '[e~[\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt %}{{ ']~b]ai\\n<think>\\n' }}{% endif -%}
"""


@dataclass(frozen=True)
class Shape:
    """The dimensions of the model: valid for TP 1 and 2, and for expert parallelism over 2, 4 or 8 ranks."""

    vocab: int = 416
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32  # the smallest head that vLLM's CPU attention supports
    rotary_dim: int = 16  # half of the head is rotated, as in MiniMax-M2
    experts: int = 8
    top_k: int = 2
    expert_width: int = 128
    positions: int = 4096


def write_checkpoint(folder: Path, shape: Shape | None = None) -> None:
    """Write config, tokenizer and three bf16 safetensors shards into a folder; the bytes are the same every time."""
    shape = shape or Shape()
    folder.mkdir(parents=True, exist_ok=True)
    ids = _write_tokenizer(folder, shape.vocab)
    _write_json(folder / "config.json", _config(shape, ids))
    _write_json(folder / "generation_config.json", {"bos_token_id": ids[BOS], "eos_token_id": ids[EOS]})
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nRandom weights in the shape of MiniMax-M2.\n")
    _write_weights(folder, shape)


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n")


def _config(shape: Shape, ids: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["MiniMaxM2ForCausalLM"],
        "model_type": "minimax_m2",
        "dtype": "bfloat16",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.expert_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "rotary_dim": shape.rotary_dim,
        "rope_theta": 5000000,
        "max_position_embeddings": shape.positions,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-06,
        "num_local_experts": shape.experts,
        "num_experts_per_tok": shape.top_k,
        "scoring_func": "sigmoid",
        "use_routing_bias": True,
        "use_qk_norm": True,
        "qk_norm_type": "per_layer",
        "tie_word_embeddings": False,
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[EOS],
    }


def _write_tokenizer(folder: Path, vocab: int) -> dict[str, int]:
    """Write a byte-level BPE tokenizer with exactly `vocab` entries; return the ids of its markers."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    special, markers = (BOS, TURN, EOS), list(MARKERS)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(special) - len(markers),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([PROSE], trainer)
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in markers])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    ids = tokenizer.get_vocab()
    return {word: ids[word] for word in (*special, *markers)}


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": Shape().positions,
    }


def _weights(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and shape of each tensor, in the order of the layers."""
    hidden, width = shape.hidden, shape.expert_width
    query, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "model.embed_tokens.weight", (shape.vocab, hidden)
    for layer in range(shape.layers):
        block, attention = f"model.layers.{layer}", f"model.layers.{layer}.self_attn"
        yield f"{block}.input_layernorm.weight", (hidden,)
        yield f"{attention}.q_proj.weight", (query, hidden)
        yield f"{attention}.k_proj.weight", (kv, hidden)
        yield f"{attention}.v_proj.weight", (kv, hidden)
        yield f"{attention}.o_proj.weight", (hidden, query)
        yield f"{attention}.q_norm.weight", (query,)
        yield f"{attention}.k_norm.weight", (kv,)
        yield f"{block}.post_attention_layernorm.weight", (hidden,)
        yield f"{block}.block_sparse_moe.gate.weight", (shape.experts, hidden)
        yield f"{block}.block_sparse_moe.e_score_correction_bias", (shape.experts,)
        for expert in range(shape.experts):
            yield f"{block}.block_sparse_moe.experts.{expert}.w1.weight", (width, hidden)
            yield f"{block}.block_sparse_moe.experts.{expert}.w2.weight", (hidden, width)
            yield f"{block}.block_sparse_moe.experts.{expert}.w3.weight", (width, hidden)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (shape.vocab, hidden)


def _write_weights(folder: Path, shape: Shape) -> None:
    import numpy as np

    random = np.random.default_rng(SEED)
    tensors = {name: _bf16(_values(random, name, size)) for name, size in _weights(shape)}
    names = list(tensors)
    step = -(-len(names) // SHARDS)
    weight_map: dict[str, str] = {}
    for shard in range(SHARDS):
        file = f"model-{shard + 1:05d}-of-{SHARDS:05d}.safetensors"
        in_shard = {name: tensors[name] for name in names[shard * step : (shard + 1) * step]}
        _write_shard(folder / file, in_shard)
        weight_map |= dict.fromkeys(in_shard, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)


def _values(random: np.random.Generator, name: str, size: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return small random numbers; norms are near one, as in a trained model."""
    centre = 1.0 if "norm" in name else 0.0
    return (centre + 0.05 * random.standard_normal(size)).astype("<f4")


def _bf16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the upper halves of float32 values, which are bfloat16; numpy has no such type."""
    return (values.view("<u4") >> 16).astype("<u2")


def _write_shard(file: Path, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write one safetensors file. `tensors` contain bfloat16 as two-byte words; `serialize` reads their memory."""
    from safetensors import TensorSpec, serialize

    specs = {
        name: TensorSpec(
            dtype="bfloat16", shape=list(words.shape), data_ptr=words.ctypes.data, data_len=words.nbytes
        )
        for name, words in tensors.items()
    }
    file.write_bytes(serialize(specs, {"format": "pt"}))
