"""`invoke top`: what the servers do while they serve."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands.shared_options import OUTPUT, Name
from commands.task import verb
from errors import Failed, Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.hardware.gpu_load import GpuLoad
    from launch.operations.watch import Watched
    from launch.serving.monitoring.activity import Activity

HEADERS = (
    *("ENGINE", "RUN", "WAIT", "TOK/S", "PROMPT/S", "TTFT P50", "P95", "ITL P50", "P95"),
    *("KV", "PREEMPT", "HITS"),
)
_PERIOD = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)(ms|s|m)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
SHORTEST, LONGEST = 0.5, 3600.0  # seconds


def period(label: str, given: Any) -> float:
    """Parse a time between two lines, as 2s, 500ms or 1m. Raises Refused for anything else."""
    match = _PERIOD.fullmatch(str(given))
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise Refused(
            f"{label} must be a time from 500ms to 60m (got '{str(given)[:60]}')", fix=f"{label} 2s"
        )
    return seconds


@verb()
def top(
    c: Context,
    name: Name = "",
    every: Annotated[
        float, Option("time between two measurements, e.g. 500ms, 2s or 1m", metavar="TIME", parse=period)
    ] = 2.0,
    count: Annotated[
        int, Option("end after so many measurements (default: at Ctrl-C)", maximum=1_000_000)
    ] = 0,
    format: Annotated[
        str,
        Option("output format; json: one line for each measurement", choices=("text", "json"), group=OUTPUT),
    ] = "text",
) -> None:
    """Show what running servers do: requests, tokens a second, latencies and the load of their GPUs.

    The latencies are those of the requests since the last measurement. Without a terminal, lines are printed.

    invoke top
    invoke top slipway-minimax-m2 --every 10s --format json
    """
    from launch.operations.watch import watch

    with _shown(format) as show:
        try:
            for number, servers in enumerate(watch(name, every), start=1):
                show(servers)
                if number == count:
                    return
        except KeyboardInterrupt:
            return
    raise Failed("no server runs any more", fix="invoke ps")


@contextmanager
def _shown(format: str) -> Iterator[Callable[[tuple[Watched, ...]], None]]:
    """Yield what shows one measurement: a table that is redrawn on a terminal, else lines."""
    if format == "json":
        yield lambda servers: _print([json.dumps(_json(one)) for one in servers])
    elif not sys.stdout.isatty():
        yield lambda servers: _print([line for one in servers for line in _lines(one)])
    else:
        from rich.live import Live

        with Live(screen=False, auto_refresh=False) as live:
            yield lambda servers: live.update(_view(servers), refresh=True)


def _print(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _json(server: Watched) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "server": server.name,
        "problem": server.problem,
        "engines": [asdict(engine) for engine in server.engines],
        "gpus": [asdict(gpu) for gpu in server.gpus],
    }


def _lines(server: Watched) -> Iterator[str]:
    """Yield a line for each engine, and one for the GPUs."""
    now = time.strftime("%H:%M:%S")
    if server.problem:
        yield f"{now} {server.name}: {server.problem}"
    for one in server.engines:
        hits = "" if one.prefix_hits is None else f", prefix hits {one.prefix_hits:.0%}"
        yield (
            f"{now} {server.name} engine {one.engine}: {one.running} running, {one.waiting} waiting, "
            f"{one.generation_rate:.0f} tok/s, prompts {one.prompt_rate:.0f} tok/s, "
            f"TTFT {_pair(one.ttft_p50, one.ttft_p95)}, ITL {_pair(one.itl_p50, one.itl_p95)}, "
            f"KV cache {_share(one.kv_cache)}, {one.preemptions} preempted{hits}"
        )
    if server.gpus:
        yield f"{now} {server.name}: {'; '.join(map(_gpu, server.gpus))}"


def _view(servers: tuple[Watched, ...]) -> Any:
    """Return what a terminal shows: a table of engines for each server, and a line for its GPUs."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for server in servers:
        parts.append(Text(f"{server.name}  {server.problem}", style="bold"))
        if server.engines:
            parts.append(_engines(server.engines))
        if server.gpus:
            parts.append(Text("; ".join(map(_gpu, server.gpus))))
    return Group(*parts)


def _engines(engines: tuple[Activity, ...]) -> Any:
    from rich.table import Table

    view = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for header in HEADERS:
        view.add_column(header, justify="right", no_wrap=True)
    for engine in engines:
        view.add_row(*_cells(engine))
    return view


def _cells(one: Activity) -> tuple[str, ...]:
    times = (one.ttft_p50, one.ttft_p95, one.itl_p50, one.itl_p95)
    return (
        *(one.engine, str(one.running), str(one.waiting)),
        *(f"{one.generation_rate:.0f}", f"{one.prompt_rate:.0f}", *map(_time, times)),
        *(_share(one.kv_cache), str(one.preemptions), _share(one.prefix_hits)),
    )


def _pair(p50: float | None, p95: float | None) -> str:
    return "-" if p50 is None else f"p50 {_time(p50)} p95 {_time(p95)}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}" if value >= 0.1 or not value else f"{value:.1%}"


def _gpu(gpu: GpuLoad) -> str:
    """Return the readable values of a GPU on one line."""
    used = gpu.memory_used
    memory = f"{used / 2**30:.1f} of {gpu.memory / 2**30:.1f} GiB" if used is not None and gpu.memory else ""
    busy = "" if gpu.busy is None else f"{gpu.busy:.0%}"
    values = (busy, "" if gpu.power_w is None else f"{gpu.power_w:.0f} W", memory)
    return f"GPU {gpu.index} {', '.join(filter(None, values)) or 'is not readable'}"
