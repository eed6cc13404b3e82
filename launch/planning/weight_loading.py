"""Choose how vLLM reads the weights: from a network file system in order and ahead, instead of by page faults."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launch.checked_data.data_file import load
from launch.planning.known_names import Known
from launch.spec.inputs import Host
from launch.spec.vllm_args import Arg, Draft

FLAG, PREFETCH = "--safetensors-load-strategy", "prefetch"
# Each of these chooses how weights are read, so nothing is added.
OTHERS = (FLAG, "--load-format", "--model-loader-extra-config")
SHARE = 0.9  # of the memory, as for vLLM's own choice: what is evicted before its use is read twice


@dataclass(frozen=True)
class NetworkFileSystem:
    """A type of file system whose data is on other hosts."""

    source: str


@cache
def network_file_systems() -> dict[str, NetworkFileSystem]:
    """Return the table by the kernel's name of the type."""
    return load(Path(__file__).with_name("network_file_systems.yaml"), dict[str, NetworkFileSystem])


def with_load_strategy(draft: Draft, host: Host, known: Known) -> Draft:
    """Return the command with `prefetch` if the weights are on a network file system and fit into memory."""
    storage = host.storage
    row = network_file_systems().get(storage.file_system) if storage else None
    if storage is None or row is None or not _is_offered(known) or any(draft.get(flag) for flag in OTHERS):
        return draft
    if storage.weights_gib > SHARE * storage.memory_gib:
        return draft
    why = f"the weights are on {storage.file_system}: they are read in order, not by page faults"
    source = f"rule: network file systems ({row.source})"
    return draft.add((Arg(FLAG, (PREFETCH,), source, why),))


def _is_offered(known: Known) -> bool:
    """Whether this vLLM certainly has the strategy."""
    arg = Arg(FLAG, (PREFETCH,))
    option = known.option(arg)
    return bool(known.exact and option and known.has_option(arg) and PREFETCH in option.choices)
