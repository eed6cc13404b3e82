"""Tell whether `vllm serve` can answer chat requests with a model, from its files and its config.json."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from errors import Refused
from launch.checked_data.data_file import load

WEIGHTS = re.compile(r"(?!adapter_).+\.(safetensors|bin|pt|pth)")
NOT_WEIGHTS = ("training_args.bin", "optimizer.pt", "scheduler.pt", "optimizer.bin", "rng_state.pth")
# Sentence Transformers writes these for embedding models, also if the architecture could generate.
EMBEDDING_FILES = ("modules.json", "config_sentence_transformers.json")
OTHER_MODEL = "choose a model that generates text"


@dataclass(frozen=True)
class Architecture:
    """One row of architectures.yaml."""

    pattern: str
    serves: bool
    kind: str
    source: str


@cache
def architectures() -> tuple[Architecture, ...]:
    """Return the table."""
    return load(Path(__file__).with_name("architectures.yaml"), tuple[Architecture, ...])


def is_weights(name: str) -> bool:
    """Return whether a file in the root folder of a model holds weights that vLLM loads."""
    return bool(WEIGHTS.fullmatch(name)) and name not in NOT_WEIGHTS


def check_files(names: Collection[str], place: str) -> None:
    """Raise Refused for files that are not a model's, or a model's that vLLM cannot serve."""
    has_weights = any(is_weights(name) for name in names)
    if "adapter_config.json" in names and not has_weights:
        fix = "name its base model, and add --set --enable-lora=true and --set --lora-modules=NAME=PATH"
        raise Refused(
            f"{place} is a LoRA adapter, not a model", why="it has only the adapter's files", fix=fix
        )
    if "model_index.json" in names and "config.json" not in names:
        raise Refused(f"{place} is a pipeline of Diffusers, which vLLM does not serve", fix=OTHER_MODEL)
    if any(name.endswith(".gguf") for name in names) and not has_weights:
        why = "it has *.gguf, and no *.safetensors"
        raise Refused(
            f"{place} has only GGUF files, which Slipway does not plan",
            why=why,
            fix="name the model that they were made from",
        )
    if "config.json" not in names:
        why = (
            "it has files of Mistral's own format"
            if "params.json" in names
            else "nothing describes the model"
        )
        raise Refused(f"{place} has no config.json", why=why, fix="name the folder of a model, or a model")
    if not has_weights:
        why = "it has no *.safetensors in its root folder"
        raise Refused(f"{place} has no weights", why=why, fix="copy the weights there, or name another model")


def check_kind(config: Mapping[str, Any], names: Collection[str], place: str) -> None:
    """Raise Refused for a model that does not generate text."""
    name = config["architectures"][0]
    row = next((row for row in architectures() if re.search(row.pattern, name)), None)
    what = f"{place} does not generate text"
    if row is None:
        what = f"{place} has the architecture '{name}', which Slipway does not know"
        raise Refused(what, why="it may not generate text", fix="a recipe for it: --recipes DIR")
    if not row.serves:
        raise Refused(what, why=f"'{name}' is {row.kind}", fix=OTHER_MODEL)
    if found := sorted(set(EMBEDDING_FILES) & set(names)):
        raise Refused(what, why=f"{found[0]} says that it is an embedding model", fix=OTHER_MODEL)
    if config.get("is_encoder_decoder") is True:
        raise Refused(
            f"{place} does not answer chat requests", why=f"'{name}' has encoder and decoder", fix=OTHER_MODEL
        )
