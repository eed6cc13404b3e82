"""`invoke deploy --bench`: a load on a server of a cluster, measured and recorded as that of `invoke bench`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from invoke.exceptions import Exit

from commands.bench import workload_for
from commands.bench_group import Group
from commands.output import emit, say
from errors import Failed
from launch.deploy.client import Cluster


@dataclass(frozen=True)
class Load:
    """What to send, how often."""

    preset: str
    scale: float
    repeat: int


def measure(cluster: Cluster, name: str, load: Load, format: str) -> None:
    """Measure a server of a cluster. Raises Exit if a run is void, and Failed."""
    from launch.bench.lock import only_benchmark_of
    from launch.deploy.server import reached
    from launch.operations.deployed_bench import target_of
    from launch.paths import results_dir, writable

    folder = writable(results_dir(""))  # before the run, which may take an hour
    with reached(cluster, name) as server:
        uid = str(server.pod["metadata"]["uid"])
        workload = workload_for(server.model, load.preset, load.scale, server.revision)
        group = Group(secrets.token_hex(6), workload, folder, format)
        say(f"load: inside the pod {server.pod['metadata']['name']}; questions and counters: a port-forward")
        try:
            with only_benchmark_of(name, uid[:12]):
                group.measure_target(target_of(cluster, server, name), load.repeat)
        finally:
            if format == "json" and group.records:
                emit(group.data)
    if group.void:
        raise Exit(code=Failed.code)
