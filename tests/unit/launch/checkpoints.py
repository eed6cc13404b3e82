"""Write small model folders for tests: config.json, tokenizer settings, and weights of a given size."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
}
HERMES = "{% if tools %}<tool_call>{% endif %}{% for message in messages %}{{ message.content }}{% endfor %}"
GIB = 2**30


def write_model(
    folder: Path,
    config: dict[str, Any] | str | None = None,
    template: str = "",
    weights: int = 16 * GIB,
    **files: str,
) -> Path:
    """Write a model; `weights` are the bytes of its tensors (a sparse file), 0 leaves the file out."""
    folder.mkdir(parents=True, exist_ok=True)
    content = LLAMA if config is None else config
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "config.json").write_text(text)
    settings = {"chat_template": template} if template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if weights:
        write_weights(folder / "model.safetensors", weights)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def write_weights(path: Path, size: int) -> None:
    """Write a safetensors file with one tensor of `size` bytes, which takes no space on the disk."""
    header = json.dumps({"weight": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}})
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        file.truncate(8 + len(header) + size)
