"""How many users a plan holds: the requests of a context length whose KV cache fits in memory at the same time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from errors import Refused, choice
from launch.spec.gpu_catalog import HardwareProfile, find
from launch.spec.plan import Plan
from launch.spec.sizes import size_of

_SIZES = re.compile(r"(?:x([1-9][0-9]{0,4}))?(?:x([1-9][0-9]{0,4}))?", re.ASCII)
_COUNT_FIRST = re.compile(r"([1-9][0-9]{0,4})x(.+)", re.ASCII)
MAX_MACHINES = 32


@dataclass(frozen=True)
class Machine:
    """A kind of GPU, how many on each node (0: all that a node has), and the number of nodes."""

    hardware: str
    gpus: int = 0
    nodes: int = 1

    @property
    def name(self) -> str:
        """Return h200x8, mi300x8, or h200x8x2 for two nodes."""
        gpus = f"x{self.gpus}".removeprefix("x" if self.hardware.endswith("x") else "") if self.gpus else ""
        return f"{self.hardware}{gpus}{f'x{self.nodes}' if self.nodes > 1 else ''}"


def machines(text: str, known: Mapping[str, HardwareProfile]) -> tuple[Machine, ...]:
    """Parse h200x4,8xh200,h200x8x2,mi300x,mi300x8 with the names of the hardware. Raises Refused, with the form."""
    words = [word for word in re.split(r"[,\s]+", text.strip().lower()) if word]
    if not words or len(words) > MAX_MACHINES:
        what = f"--compare takes 1 to {MAX_MACHINES} machines (got {len(words)})"
        raise Refused(what, fix='--compare "h200x4,h200x8,mi300x8"')
    return tuple(dict.fromkeys(_machine(word, known) for word in words))


def _machine(word: str, known: Mapping[str, HardwareProfile]) -> Machine:
    first = _COUNT_FIRST.fullmatch(word)
    if first and first[2] in known:
        return Machine(first[2], int(first[1]))
    for hardware in sorted(known, key=len, reverse=True):
        rest = word.removeprefix(hardware)
        if hardware.endswith("x") and rest[:1].isdigit():  # mi300x8
            rest = f"x{rest}"
        sizes = _SIZES.fullmatch(rest)
        if word.startswith(hardware) and sizes:
            return Machine(hardware, int(sizes[1] or 0), int(sizes[2] or 1))
    name = re.sub(r"(x\d+)+$", "", word)
    if (other := find(known, name)) and other.id != name:
        return _machine(f"{other.id}{word.removeprefix(name)}", known)
    if name in known:
        what = (
            f"--compare '{word[:80]}': GPUs and nodes must be integers from 1 to 99,999, at most two of them"
        )
        raise Refused(what, fix=f'--compare "{name}x4,{name}x8x2"')
    what = choice("hardware", name[:80], tuple(known)).what
    why = "a machine is HARDWARE, HARDWARExGPUS or HARDWARExGPUSxNODES"
    raise Refused(f"--compare '{word[:80]}': {what}", why=why, fix='--compare "h200x4,h200x8x2"')


def users(plan: Plan, context: int) -> int | None:
    """Return how many requests of `context` tokens fit in the KV cache at once; None if its size is not known.

    Each replica holds whole requests. `--max-num-seqs` limits them too, if the plan sets it.
    """
    fit = plan.fit
    if fit.kv_tokens_per_replica is None or not fit.max_model_len:
        return None
    flags = dict(pairwise(plan.processes[0].argv))
    served = size_of(flags.get("--max-model-len", "")) or 0  # -1 and auto: the longest that fits
    if context > (min(served, fit.max_model_len) if served > 0 else fit.max_model_len):
        return 0
    each = fit.kv_tokens_per_replica // context
    if (limit := flags.get("--max-num-seqs", "")).isdigit():
        each = min(each, int(limit))
    return each * plan.layout.dp
