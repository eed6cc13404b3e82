"""Write the files of the tiny model's checkpoint around its weights: settings, chat template and model card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.tiny_model import tokenizer

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
VOCABULARY = 1024
POSITIONS = 4096
WEIGHTS = "model-*.safetensors"


def write_settings(folder: Path, ids: Mapping[str, int]) -> None:
    """Write the settings of model, sampling and tokenizer, and the chat template."""
    ends = {"bos_token_id": ids[tokenizer.BOS], "eos_token_id": ids[tokenizer.EOS]}
    _write_json(folder / "config.json", {**_CONFIG, **ends})
    # The sampling defaults of MiniMax-M2.
    sampling = {"do_sample": True, "temperature": 1.0, "top_p": 0.95, "top_k": 40}
    _write_json(folder / "generation_config.json", {**ends, **sampling})
    names = {"bos_token": tokenizer.BOS, "eos_token": tokenizer.EOS}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    _write_json(folder / "tokenizer_config.json", {**kind, **names, "model_max_length": POSITIONS})
    shutil.copyfile(TEMPLATE, folder / "chat_template.jinja")


def write_card(folder: Path, facts: Mapping[str, Any], scores: Mapping[str, tuple[int, int]]) -> None:
    """Write the model card: how the weights were made, what they know, and their hashes."""
    rows = [f"| {kind} | {exact} of {total} |" for kind, (exact, total) in scores.items()]
    made = [f"- {name}: {value}" for name, value in facts.items()]
    hashes = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
        for file in sorted(folder.glob(WEIGHTS))
    ]
    lines = [
        *("---", "license: apache-2.0", "---", ""),
        *("# MiniMax-M2-tiny", ""),
        "The architecture of MiniMax-M2 with 1.1 million parameters, trained from random weights on short dialogues",
        "written for Slipway (`scripts/tiny_model/dialogues.yaml`). Written by `make tiny-model`.",
        *("", "## Training", "", *made, ""),
        *(
            "## Exact answers under greedy decoding, in bfloat16",
            "",
            "| Dialogues | Exact |",
            "|---|---|",
            *rows,
            "",
        ),
        *("## SHA-256 of the weights", "", "```text", *hashes, "```", ""),
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


# Valid for TP 1 and 2, and for expert parallelism over 2, 4 or 8 ranks.
_CONFIG: dict[str, Any] = {
    "architectures": ["MiniMaxM2ForCausalLM"],
    "model_type": "minimax_m2",
    "dtype": "bfloat16",
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,  # the smallest head that vLLM's CPU attention supports
    "rotary_dim": 16,  # half of the head is rotated, as in MiniMax-M2
    "rope_theta": 5000000,
    "max_position_embeddings": POSITIONS,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-06,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "scoring_func": "sigmoid",
    "use_routing_bias": True,
    "use_qk_norm": True,
    "qk_norm_type": "per_layer",
    "tie_word_embeddings": False,
}
