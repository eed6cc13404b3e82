"""The phases of a server's life, told from the milestones that it logs and from the stack of an exception."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class Phase(StrEnum):
    """What the server was doing."""

    START = "start"
    LOAD = "load"
    COMPILE = "compile"
    PROFILE = "profile"
    CAPTURE = "capture"
    WARMUP = "warmup"
    SERVING = "serving"


# What vLLM logs when a phase begins; the texts are of vLLM 0.8 to 0.32.
_MILESTONES = (
    ("Starting to load model", Phase.LOAD),
    ("Loading model from scratch", Phase.LOAD),
    ("checkpoint shards:", Phase.LOAD),
    ("Dynamo bytecode transform", Phase.COMPILE),
    ("Compiling a graph", Phase.COMPILE),
    ("Start compiling function", Phase.COMPILE),
    ("Available KV cache memory", Phase.PROFILE),
    ("GPU KV cache size", Phase.PROFILE),
    ("Capturing CUDA graph", Phase.CAPTURE),
    ("Capturing cudagraphs", Phase.CAPTURE),
    ("Graph capturing finished", Phase.WARMUP),
    ("startup complete", Phase.SERVING),
)
# The first pattern that occurs in a stack tells its phase: capturing warms up and runs the model, and profiling
# compiles it.
_STACKS = (
    (re.compile(r"_dummy_sampler_run|_dummy_pooler_run|kernel_warmup|warmup_kernels"), Phase.WARMUP),
    (re.compile(r"capture_model|capture_graph|_capture|graph_pool"), Phase.CAPTURE),
    (
        re.compile(r"torch/_(?:dynamo|inductor)|vllm/compilation/(?:backends|compiler_interface)"),
        Phase.COMPILE,
    ),
    (
        re.compile(r"profile_run|determine_available_memory|initialize_kv_cache|_initialize_kv_caches"),
        Phase.PROFILE,
    ),
    (
        re.compile(
            r"load_model|load_weights|create_weights|initialize_model|process_weights_after_loading|"
            r"weights_iterator|model_loader"
        ),
        Phase.LOAD,
    ),
    (re.compile(r"run_busy_loop|execute_model|sample_tokens|step_with_batch_queue"), Phase.SERVING),
)


def milestone(text: str) -> Phase | None:
    """Return the phase that a line begins, or None."""
    return next((phase for words, phase in _MILESTONES if words in text), None)


def phase_of_stack(frames: Iterable[str]) -> Phase | None:
    """Return the phase in which a stack runs, or None if it does not tell."""
    stack = "\n".join(frames)
    return next((phase for pattern, phase in _STACKS if pattern.search(stack)), None)
