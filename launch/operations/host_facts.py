"""Collect the facts about this machine and its user that a plan needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from launch import paths
from launch.operations import json_lines
from launch.serving import api_key
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.inputs import Host, KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout, Plan
from launch.weights.cache import cache_folder
from launch.weights.model_info import shapes


def gather(
    hardware: HardwareProfile,
    gpus: int,
    nodes: int,
    models: Iterable[str],
    known: dict[str, ModelShape] | None = None,
) -> Host:
    """Return the facts for a plan on this hardware.

    Shapes come from the snapshots of `models` in the cache, else from `known`.
    """
    hub = cache_folder()
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
        shapes={**(known or {}), **shapes(hub, models)},
        measured=tuple(_measured()),
    )


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
    argv = plan.processes[0].argv
    flag = "--kv-cache-dtype"
    kv_dtype = argv[argv.index(flag) + 1] if flag in argv[:-1] else "auto"
    measured = KvMeasurement(plan.model, plan.hardware, plan.layout, kv_tokens, kv_dtype)
    json_lines.append(_file(), {**measured.__dict__, "layout": measured.layout.__dict__})
