"""What speculative decoding adds to the memory of a server: a draft model with layers of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launch.planning.json_objects import object_of
from launch.spec.model_config import ModelShape
from launch.spec.vllm_args import Draft

FLAG = "--speculative-config"
OWN = "mtp"  # ends the names of the methods whose draft model is in the checkpoint: mtp, deepseek_mtp, qwen3_next_mtp
WITH_MODEL = ("eagle", "dflash", "dspark", "medusa", "draft_model")


@dataclass(frozen=True)
class Speculation:
    """The draft model of a command. `own`: it is in the checkpoint. `layers` keep a KV cache of their own."""

    method: str = ""
    own: bool = False
    layers: int = 0
    tokens: int = 0


# Options that set one key each (vllm/engine/arg_utils.py).
SHORT_OPTIONS = {
    "--spec-method": "method",
    "--spec-model": "model",
    "--spec-tokens": "num_speculative_tokens",
}


def speculation_of(draft: Draft) -> dict[str, Any]:
    """Return the object of the speculation, with what the short options set."""
    given = {key: draft.get(flag) for flag, key in SHORT_OPTIONS.items()}
    texts = {key: arg.value for key, arg in given.items() if arg}
    short = {key: int(text) if text.isdecimal() else text for key, text in texts.items()}
    return {**short, **(object_of(draft, FLAG) or {})}


def speculation(draft: Draft, shape: ModelShape | None) -> Speculation:
    """Return the speculation that a command sets; an empty one if it sets none, or one that cannot be read."""
    if not any(arg.key.startswith("--spec") for arg in draft.args):
        return Speculation()
    values = speculation_of(draft)
    method = str(values.get("method", ""))
    tokens = values.get("num_speculative_tokens")
    number = tokens if type(tokens) is int and 0 < tokens < 100 else 0
    if method.endswith(OWN) or (number and not method and "model" not in values):
        return Speculation(method or OWN, True, max(1, shape.mtp_layers if shape else 1), number)
    if method.startswith(WITH_MODEL):
        return Speculation(method, False, 1, number)
    return Speculation(method, tokens=number)
