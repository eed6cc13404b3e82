"""The longest context that a command may serve: the model's own, or what the scaling of its positions extends it to."""

from __future__ import annotations

from errors import Refused
from launch.planning.model_overrides import FLAG, overrides_of
from launch.spec.model_config import ModelShape
from launch.spec.rope_scaling import context_of
from launch.spec.vllm_args import Draft

ALLOW_LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
OWN_CONTEXT = "max_position_embeddings"


def longest_of(draft: Draft, shape: ModelShape | None) -> int | None:
    """Return the longest context: of the config, or of the config with the user's --hf-overrides."""
    own = shape.context if shape else None
    if shape is None or own is None:
        return None
    overrides = overrides_of(draft)
    if overrides is None:
        return shape.longest or own
    changed = overrides.get(OWN_CONTEXT)
    base = changed if type(changed) is int and changed > 0 else own
    return max(shape.longest or 0, base, context_of(overrides, base).longest or 0)


def check_context(context: int | None, draft: Draft, shape: ModelShape | None, model: str) -> None:
    """Raise Refused for more than the longest context, unless the user allows it."""
    longest = longest_of(draft, shape)
    allowed = any(variable.name == ALLOW_LONGER for variable in draft.env)
    if not (shape and context and longest) or context <= longest or allowed:
        return
    what = f"a context of {context:,} tokens is too long: {model} has {longest:,}"
    why = f"{shape.source}; vLLM refuses more, unless the positions are scaled (YaRN) by {FLAG}"
    raise Refused(what, why=why, fix=f"--max-model-len {longest}, or --env {ALLOW_LONGER}=1")
