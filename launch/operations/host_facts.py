"""Collect the facts about this machine and its user that a plan needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from launch import paths
from launch.hardware import cpu
from launch.operations import json_lines
from launch.planning.kv_space import kv_space
from launch.planning.memory import constants
from launch.planning.weight_size import GIB
from launch.serving import api_key
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.image_reference import short_id
from launch.spec.inputs import Host, KvMeasurement, WeightStorage
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout, Plan
from launch.spec.vllm_args import Draft, EnvVar, parse
from launch.weights.cache import cache_folder
from launch.weights.file_system import file_system_of
from launch.weights.model_info import shapes
from launch.weights.page_cache import weight_files


def gather(
    hardware: HardwareProfile,
    gpus: int,
    nodes: int,
    models: Iterable[str],
    known: dict[str, ModelShape] | None = None,
    limit: str = "",
) -> Host:
    """Return the facts for a plan on this hardware.

    Shapes come from the snapshots of `models` in the cache, else from `known`. `limit` is the memory limit of the
    container.
    """
    hub = cache_folder()
    on_cpu = hardware.platform == "cpu"
    return Host(
        hardware=hardware,
        gpus=gpus,
        nodes=nodes,
        uid=os.getuid(),
        gid=os.getgid(),
        hub_cache=str(hub.absolute()),
        cache=str(paths.server_caches()),
        folder=str(Path.cwd()),
        key_file=str(api_key.key_file()),
        ram_gib=_ram_gib() if on_cpu else None,
        limit_gib=in_bytes(limit) / GIB if on_cpu and limit else None,
        shapes={**(known or {}), **shapes(hub, models)},
        measured=tuple(_measured()),
    )


def storage_of(folder: Path) -> WeightStorage | None:
    """Return where the weights in a folder are; None if there are none, or the host's memory is not known."""
    try:
        files = weight_files(folder)
        size = sum(path.stat().st_size for path in files)
    except OSError:
        return None
    memory = cpu.read().memory
    if not size or not memory:
        return None
    # Snapshots have links to the blobs, which are what is read.
    return WeightStorage(file_system_of(files[0]), size / GIB, memory / GIB)


def _ram_gib() -> float | None:
    """Return the memory of this host, None if the kernel does not tell."""
    return cpu.read().memory / GIB or None


def in_bytes(amount: str) -> int:
    """Return an amount of memory as the engine reads it: 64g, 512m, 1024."""
    digits, unit = (amount[:-1], amount[-1].lower()) if amount[-1:].isalpha() else (amount, "b")
    return int(digits) << {"b": 0, "k": 10, "m": 20, "g": 30}[unit]


def _file() -> Path:
    return paths.state_dir() / "kv_cache.jsonl"


def _measured() -> Iterator[KvMeasurement]:
    """Yield the KV cache sizes of earlier starts, oldest first; skip rows with other fields."""
    for row in json_lines.read(_file()):
        try:
            yield KvMeasurement(**{**row, "layout": Layout(**row["layout"])})
        except (TypeError, KeyError):
            continue


def save_kv_tokens(plan: Plan, kv_tokens: int) -> None:
    """Save the KV cache size that one engine of this plan printed, for the next plan on this host."""
    process = plan.processes[0]
    draft = Draft(parse(process.argv[3:]), tuple(EnvVar(*pair) for pair in plan.environment(process)))
    dtype, space = draft.get("--kv-cache-dtype"), kv_space(draft, plan.platform, plan.vllm_version)
    measured = KvMeasurement(
        plan.model,
        plan.hardware,
        plan.layout,
        kv_tokens,
        dtype.value if dtype else "auto",
        None if space.utilization == constants().utilization else space.utilization,
        space.gib,
        short_id(plan.image_source.id or plan.image),
        draft.number("--max-model-len", 0) or None,
    )
    json_lines.append(_file(), {**measured.__dict__, "layout": measured.layout.__dict__})
