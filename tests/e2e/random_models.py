"""Write small models with random weights, one a family, with transformers: `random_models.py FOLDER NAME...`.

It runs inside the CPU image, which has torch and transformers. The answers of these models are noise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 64}
HEAD: dict[str, Any] = {"head_dim": 32}  # the smallest that vLLM's CPU attention supports
# The classes of transformers, and what they need in addition to SIZES.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", HEAD),
    "qwen3-moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", {**HEAD, **EXPERTS, "num_experts": 4}),
    "llama": ("LlamaConfig", "LlamaForCausalLM", {}),
    "mistral": ("MistralConfig", "MistralForCausalLM", HEAD),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {"num_local_experts": 4, "num_experts_per_tok": 2}),
}


def write_model(folder: Path, family: str) -> None:
    """Write config, weights and tokenizer."""
    config_class, model_class, more = FAMILIES[family]
    config = getattr(transformers, config_class)(**{**SIZES, **more})
    torch.manual_seed(3)
    model = getattr(transformers, model_class)(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer with a chat template that joins the messages."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["A ship is built on a slipway and slides into the water."], trainer)
    missing = SIZES["vocab_size"] - tokenizer.get_vocab_size()  # a number without a token has no text
    tokenizer.add_tokens([f"word{number} " for number in range(missing)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "chat_template": "{% for message in messages %}{{ message.content }}\n{% endfor %}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        write_model(Path(sys.argv[1]) / name, name)
