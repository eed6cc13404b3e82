"""`invoke bench`: the guide's load on a running server, recorded in the results folder."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands.output import bar, emit, say, show
from commands.servers import running
from commands.shared_options import DryRun, Format, Name
from commands.task import verb
from errors import Refused
from launch.spec.option import Option

if TYPE_CHECKING:
    from docker.models.containers import Container

LABELS = (
    *("model", "commit", "plan", "strategy", "vllm", "vllm_commit"),
    *("image", "image_name", "image_id", "image_digest", "channel"),
)


def scale_of(label: str, given: Any) -> float:
    """Parse a factor above 0 and at most 1. Raises Refused for anything else."""
    try:
        factor = float(given)
    except ValueError:
        factor = 0
    if not 0 < factor <= 1:
        raise Refused(f"{label} must be a number above 0 and at most 1 (got '{given}')", fix=f"{label} 0.01")
    return factor


@verb()
def bench(
    c: Context,
    name: Name = "",
    preset: Annotated[
        str, Option("commands of the guide to run", choices=("guide-cuda", "guide-rocm"))
    ] = "guide-cuda",
    scale: Annotated[
        float,
        Option(
            "factor for lengths and number of requests, e.g. 0.01 on a CPU", metavar="NUMBER", parse=scale_of
        ),
    ] = 1.0,
    results: Annotated[
        str,
        Option(
            "folder for the record, e.g. ./results (default: results/ in the state folder)",
            metavar="PATH",
            setting=True,
        ),
    ] = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Run `vllm bench serve` inside a running server's container and record the result."""
    from launch.bench.run import format_result, preset_command, run_benchmark, save_result
    from launch.engine.client import connect
    from launch.paths import results_dir, writable

    client = connect()
    server = running(client, name)
    model, weights = server.labels["slipway.model"], server.labels.get("slipway.weights", "")
    commit = server.labels.get("slipway.commit", "")
    words = preset_command(preset, model, scale, commit, weights if weights.startswith("/") else "")
    if dry_run:
        print(" ".join(["docker", "exec", str(server.name), *words]))
        return
    folder = writable(results_dir(results))  # before the run, which may take an hour
    with bar(f"bench {preset}") as progress:
        result = run_benchmark(client, server, words, 8000, lambda line: progress.update(0, None, line[-60:]))
    facts = {
        "server": server.name,
        "preset": preset,
        "scale": scale,
        "argv": words,
        "host": platform.node(),
        **_labels(server),
    }
    path = save_result(result, facts, folder)
    if format == "json":
        emit({"slipway": facts, "result": result})
        return
    show("\n".join(format_result(result)))
    say(f"recorded in {path}")


def _labels(server: Container) -> dict[str, str]:
    return {key: server.labels.get(f"slipway.{key}", "") for key in LABELS}
