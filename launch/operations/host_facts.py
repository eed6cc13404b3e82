"""The facts of this machine and its user that a plan needs. The only part of planning that looks around."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from launch.paths import FOLDER
from launch.serving import api_key
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.inputs import Host, KvMeasurement
from launch.spec.model_config import ModelShape
from launch.spec.plan import Layout, Plan
from launch.weights.cache import cache_folder
from launch.weights.model_info import shapes

MEASURED = FOLDER / "kv_cache.jsonl"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def gather(
    hardware: HardwareProfile,
    gpus: int,
    nodes: int,
    models: Iterable[str],
    known: dict[str, ModelShape] | None = None,
) -> Host:
    """Facts about the caller and the snapshots of these models; `known` shapes fill in."""
    hub = cache_folder()
    return Host(
        hardware=hardware,
        gpus=gpus,
        nodes=nodes,
        uid=os.getuid(),
        gid=os.getgid(),
        hub_cache=str(hub.absolute()),
        cache=str((_user_cache() / "slipway").absolute()),
        folder=str(Path.cwd()),
        key_file=str(api_key.place()),
        shapes={**(known or {}), **shapes(hub, models)},
        measured=tuple(_measured(MEASURED)),
    )


def _measured(path: Path) -> Iterable[KvMeasurement]:
    """Earlier starts, oldest first; a line that is not one of ours is passed over."""
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
            yield KvMeasurement(**{**row, "layout": Layout(**row["layout"])})
        except (ValueError, TypeError, KeyError):
            continue


def learn(plan: Plan, kv_tokens: int) -> None:
    """Keep the KV cache size that one engine of this plan printed, for the next plan on this host."""
    argv = plan.processes[0].argv
    flag = "--kv-cache-dtype"
    kv_dtype = argv[argv.index(flag) + 1] if flag in argv[:-1] else "auto"
    remember(KvMeasurement(plan.model, plan.hardware, plan.layout, kv_tokens, kv_dtype))


def remember(measured: KvMeasurement, path: Path | None = None) -> None:
    """Keep one measurement."""
    path = path or MEASURED
    row = {**measured.__dict__, "layout": measured.layout.__dict__}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:  # a server that serves is no failure for want of a note
        print(f"warning: what vLLM printed is not kept: {error}", file=sys.stderr)
