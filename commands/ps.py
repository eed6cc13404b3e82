"""`invoke ps`: the servers and what they do."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.shared_options import Format
from commands.task import verb

if TYPE_CHECKING:
    from launch.engine.servers import Server
    from launch.serving.metrics import Load
    from launch.supervision.events import Summary

HEADERS = ("NAME", "MODEL", "COMMIT", "STATUS", "GPUS", "REQUESTS", "TOKENS/S", "URL", "STARTED", "VERIFIED")
SUPERVISED = ("RESTARTS", "LAST CAUSE")  # shown if a server was restarted or given up


@verb()
def ps(c: Context, format: Format = "text") -> None:
    """List Slipway servers."""
    from launch.engine.client import connect
    from launch.engine.servers import list_servers
    from launch.serving import metrics
    from launch.supervision.events import read, summary

    found = list_servers(connect())
    loads = metrics.measure_load({server.name: server.url for server in found if server.status == "running"})
    found = [_with_health(server, server.name in loads) for server in found]
    histories = {server.name: summary(read(server.name)) for server in found}
    if format == "json":
        rows = [
            {**asdict(one), "verified": _verified(one), "load": _as_dict(loads.get(one.name))}
            for one in found
        ]
        emit([{**row, "supervision": asdict(histories[row["name"]])} for row in rows])
    elif found:
        rows_with_gpus = [_row(one, loads.get(one.name), gpus) for one, gpus in _with_gpus(found)]
        show(_table(rows_with_gpus, [histories[one.name] for one in found]))
    else:
        say("No Slipway servers are running. Start one with `invoke run`.")


def _table(rows: list[tuple[object, ...]], histories: list[Summary]) -> str:
    """Return the table; the columns of supervision are there if a server was restarted or given up."""
    if not any(one.last_cause for one in histories):
        return table(HEADERS, rows)
    columns = [
        (one.restarts, f"gave up: {one.last_cause}" if one.gave_up else one.last_cause) for one in histories
    ]
    return table((*HEADERS, *SUPERVISED), [(*row, *more) for row, more in zip(rows, columns, strict=True)])


def _with_health(server: Server, answers: bool) -> Server:
    """Mark a server that answers as healthy before the engine's next health check."""
    return replace(server, health="healthy") if answers and server.health in ("", "starting") else server


def _verified(server: Server) -> str:
    """Return when the weights of a server were verified, or why that is not known; "" for a local folder."""
    from launch.weights.snapshot import last_verified

    if not (server.cache and server.commit):
        return ""
    return last_verified(server.model, server.commit, Path(server.cache))


def _as_dict(load: Load | None) -> dict[str, object] | None:
    return asdict(load) if load else None


def _with_gpus(found: list[Server]) -> list[tuple[Server, str]]:
    """Pair each server with its GPUs as text; read the drivers only if a server has GPUs."""
    if not any(server.gpus for server in found):
        return [(server, "") for server in found]
    from launch.allocation.gpu_summary import gpu_summary
    from launch.hardware.detect import detect

    gpus = detect().gpus
    return [(server, gpu_summary(server.gpus, gpus)) for server in found]


def _row(server: Server, load: Load | None, gpus: str) -> tuple[object, ...]:
    state = server.status if server.status != "running" else server.health or "running"
    rate = f"{load.tokens_per_s or 0:.0f}" if load else ""
    started = "" if server.started.startswith("0001") else server.started[:19]  # the engine's "never"
    commit, running = server.commit[:12], load.running if load else ""
    verified = _verified(server)[:10]
    return server.name, server.model, commit, state, gpus, running, rate, server.url, started, verified
