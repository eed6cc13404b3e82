"""`invoke bench`: the guide's load on a running server, recorded in the results folder."""

from __future__ import annotations

import platform
from typing import Any

from commands.output import bar, emit, say
from commands.servers import serving
from commands.task import one_of, setting, verb
from errors import Refused


@verb(
    help={
        "preset": "guide-cuda or guide-rocm: the guide's commands",
        "scale": "shrink lengths and request count by this factor (0.01 suits a CPU)",
        "name": "which server, if there are several",
        "results": "folder for the record, e.g. ./results (default: results/ in Slipway's state folder)",
        "dry-run": "print the command instead of running it",
        "format": "text or json",
    }
)
def bench(
    c: Any,
    preset: str = "guide-cuda",
    scale: str = "1",
    name: str = "",
    results: str = "",
    dry_run: bool = False,
    format: str = "text",
) -> None:
    """Run `vllm bench serve` inside a running server's container and record the result."""
    from launch.bench.run import format_result, preset_command, run_benchmark, save_result
    from launch.engine import client as engine_client
    from launch.paths import results_dir, writable

    one_of("format", format, ("text", "json"))
    factor = _factor(scale)
    preset_command(preset, "", factor)
    client = engine_client.connect()
    server = serving(client, setting(c, "name", name))
    words = preset_command(preset, server.labels["slipway.model"], factor)
    if dry_run or c.config.run.dry:
        print(" ".join(["docker", "exec", server.name, *words]))
        return
    folder = writable(results_dir(setting(c, "results", results)))  # before the run, which may take an hour
    with bar(f"bench {preset}") as progress:
        result = run_benchmark(client, server, words, 8000, lambda line: progress.update(0, None, line[-60:]))
    facts = {"preset": preset, "scale": factor, "argv": words, "host": platform.node(), **_labels(server)}
    path = save_result(result, facts, folder)
    if format == "json":
        emit({"slipway": facts, "result": result})
        return
    print("\n".join(format_result(result)))
    say(f"recorded in {path}")


def _factor(scale: str) -> float:
    try:
        factor = float(scale)
    except ValueError:
        factor = 0
    if not 0 < factor <= 1:
        raise Refused(f"--scale {scale}: a number above 0 and at most 1 is wanted", fix="--scale 0.01")
    return factor


def _labels(server: Any) -> dict[str, str]:
    return {key: server.labels[f"slipway.{key}"] for key in ("model", "plan", "image", "vllm", "strategy")}
