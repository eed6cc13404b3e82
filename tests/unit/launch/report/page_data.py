"""Pages to write in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launch.bench.compare_runs import compare_runs
from launch.bench.history import Side
from launch.bench.record import Host, Server
from launch.bench.slo import Slo
from launch.report.page import Page, build_page
from tests.unit.launch.bench.group_data import load, result, runs, server

LAYOUTS = {"tp4": {"tp": 4, "pp": 1, "dp": 1, "ep": 1}, "dp4 ep": {"tp": 1, "pp": 1, "dp": 4, "ep": 4}}
PHASES = {"import": 7.1, "load weights": 61.2, "kv cache": 9.8, "serve": 0.4}


def group(name: str, values: Sequence[float], minute: int = 0, users: int = 10, **changes: Any) -> Side:
    """Return a group that began `minute` minutes after ten o'clock, with all percentiles."""
    fields = {"load": load(concurrency=users), "server": served(), **changes}
    made = runs(name, values, **fields)
    when = f"T{10 + minute // 60}:{minute % 60:02}:0"
    return Side(name, tuple(
        run.model_copy(update={"time": run.time.replace("T10:00:0", when), "result": detailed(value)})
        for run, value in zip(made, values, strict=True)
    ))  # fmt: skip


def served(start: str = "c1@1", ranks: str = "tp4", **changes: Any) -> Server:
    """Return a server with a layout and the phases of its start."""
    values: dict[str, Any] = {"layout": LAYOUTS[ranks], "start_seconds": PHASES, "vllm": "0.32.0", **changes}
    return server(start, **values)


def detailed(value: float) -> dict[str, Any]:
    """Return a result with the percentiles of TTFT and TPOT."""
    latency = 1000 / value
    names = {"median": 0.9, "p90": 1.5, "p95": 1.8, "p99": 2.6}
    times = {f"{n}_{kind}_ms": latency * factor for n, factor in names.items() for kind in ("ttft", "tpot")}
    return {**result(value), **times}


def page(*sides: Side, slo: Slo | None = None) -> Page:
    """Return the page of these groups."""
    return build_page(sides, lambda old, new: compare_runs(old, new, {"output_throughput": 0.02}), slo)


def example() -> Page:
    """Return a page with every part: two layouts, three loads, an SLO, a slower newest group, a void group."""
    return page(
        group("sweep1", [110, 111], 1, users=1),
        group("sweep64", [900, 905], 2, users=64),
        group("ep1", [90, 91], 3, users=1, server=served("c2@2", "dp4 ep")),
        group("ep64", [1400, 1390], 4, users=64, server=served("c2@2", "dp4 ep")),
        group("old", [400, 404, 396], 5),
        group("new", [330, 328, 332], 6, server=served("c3@3", image_id="sha256:bb")),
        slo=Slo(ttft_ms=2000, tpot_ms=5),
    )


def many(count: int) -> Page:
    """Return a page of as many groups of one run."""
    return page(*(group(f"g{i:011}", [400 + i % 7], i % 600) for i in range(count)))


def on_cpu(name: str = "cpu1") -> Side:
    """Return a group that was measured on a CPU."""
    return group(name, [40, 41], host=Host(name="here", hardware="EPYC", cpu="EPYC", count=8))
