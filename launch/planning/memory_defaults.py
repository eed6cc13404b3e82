"""What Slipway adds to a command so that plan and server agree on the memory, and so that vLLM starts on a CPU.

On a CPU that is the size of the KV cache, and eager mode. vLLM's own default takes 92 % of the host's memory for the KV
cache. Its default to compile the model needs a C++ compiler, which the CPU image does not have; docs/explanation/cpu.md
has the measurements.
"""

from __future__ import annotations

from errors import Refused
from launch.planning import memory
from launch.planning.kv_space import BYTES_FLAG, CPU_SPACE, SHARE, kv_space, with_share
from launch.planning.weight_size import weights_gib
from launch.plural import count
from launch.recipes.from_config import ConfigRecipe
from launch.recipes.schema import Recipe
from launch.spec.inputs import Host
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout
from launch.spec.vllm_args import Arg, Draft, EnvVar

EAGER = Arg(
    "--enforce-eager",
    source="rule: eager mode on CPU",
    why="vLLM on CPU compiles the model with g++, which the image does not have",
)
# Each of these says how the model is run, so nothing is added.
COMPILE_FLAGS = (
    "--enforce-eager",
    "--no-enforce-eager",
    "--compilation-config",
    "-O",
    "--optimization-level",
)
EAGER_NOTE = "eager mode is the default on CPU; with an image that has g++: --set --enforce-eager=false"
SOURCE = "rule: CPU memory"


def with_defaults(
    draft: Draft, layout: Layout, shape: ModelShape | None, host: Host, recipe: Recipe
) -> Draft:
    """Return the command with the memory of the KV cache if the server would choose another than the estimate.

    The command of a recipe for GPUs stays as it is.
    """
    if host.hardware.platform == "cpu":
        return _on_cpu(draft, layout, shape, host)
    return with_share(draft) if isinstance(recipe, ConfigRecipe) else draft


def _on_cpu(draft: Draft, layout: Layout, shape: ModelShape | None, host: Host) -> Draft:
    """Return the command with what the CPU backend needs. Raises Refused if the host's memory is too small."""
    if not any(draft.get(flag) for flag in COMPILE_FLAGS):
        draft = draft.add((EAGER,), notes=(EAGER_NOTE,))
    if draft.get(SHARE):
        draft = draft.add(notes=(f"{SHARE} has no effect on CPU: {CPU_SPACE} sets the KV cache",))
    weights = weights_gib(shape, layout) if shape else None
    is_set = draft.get(BYTES_FLAG) or any(variable.name == CPU_SPACE for variable in draft.env)
    if not is_set:
        size = _default_gib(host, layout.gpus, weights)
        share = f"{memory.constants().utilization:.0%}"
        why = f"GiB of KV cache on each rank; vLLM's own default is {share} of the host's memory"
        draft = draft.add(env=(EnvVar(CPU_SPACE, str(size), SOURCE, why),))
    _check_memory(draft, host, layout.gpus, weights)
    return draft.add(notes=_limit_note(draft, host, layout.gpus, weights))


def _default_gib(host: Host, ranks: int, weights: float | None) -> int:
    """Return the usual size, or less if the memory is smaller; at least 1."""
    usual = int(memory.constants().cpu_kv_gib)
    if host.memory_gib is None or weights is None:
        return usual
    # Under a limit of the container, vLLM counts the page cache of the weights that it has read as used.
    copies = 2 if host.memory_gib == host.limit_gib else 1
    per_rank = (host.memory_gib - memory.constants().cpu_server_gib) / ranks - copies * weights
    return max(1, min(usual, int(per_rank)))


def _need(draft: Draft, ranks: int, weights: float) -> float:
    kv = kv_space(draft, "cpu").gib or 0.0
    return ranks * (weights + kv) + memory.constants().cpu_server_gib


def _check_memory(draft: Draft, host: Host, ranks: int, weights: float | None) -> None:
    """Raise Refused for a plan that needs more than the host has."""
    if host.ram_gib is None or weights is None or _need(draft, ranks, weights) <= host.ram_gib:
        return
    kv = kv_space(draft, "cpu").gib or 0.0
    what = f"the model needs {_need(draft, ranks, weights):.1f} GiB of memory, but this host has {host.ram_gib:.1f}"
    server = f"{memory.constants().cpu_server_gib:g} GiB for vLLM itself"
    why = f"{weights:.1f} GiB of weights and {kv:g} GiB of KV cache for {count(ranks, 'rank')}, and {server}"
    smaller = f"--env {CPU_SPACE}=1" if kv > 1 else "a host with more memory, or a smaller model"
    raise Refused(what, why=why, fix=smaller)


def _limit_note(draft: Draft, host: Host, ranks: int, weights: float | None) -> tuple[str, ...]:
    """Return a note if the container's limit is smaller than the estimate, which may be too high."""
    if host.limit_gib is None or weights is None or _need(draft, ranks, weights) <= host.limit_gib:
        return ()
    need = _need(draft, ranks, weights)
    return (f"--memory is {host.limit_gib:.1f} GiB, and the estimate is {need:.1f} GiB: the start may fail",)
