"""`invoke bench`: a load on a running server, measured, judged and recorded in the results folder."""

from __future__ import annotations

import secrets
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context
from invoke.exceptions import Exit

from commands.bench_comparison import comparisons, repeats
from commands.bench_group import Group
from commands.conclusions import end
from commands.output import emit, say, show
from commands.servers import running
from commands.shared_options import DryRun, Format, Name
from commands.task import verb
from errors import Failed, Refused, SlipwayError
from launch.bench.comparison_options import AgainstOptions, GateOptions
from launch.bench.layouts.options import LayoutsOptions
from launch.bench.users_options import UsersOptions
from launch.spec.option import Option

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from launch.bench.record import Record
    from launch.bench.run import Workload

MOST_REPEATS = 100
MODEL = "MiniMaxAI/MiniMax-M2"  # of the command that --dry-run shows without a server


def scale_of(label: str, given: Any) -> float:
    """Parse `small`, or a factor above 0 and at most 1. Raises Refused for anything else."""
    from launch.bench.presets import SMALL

    if str(given) == "small":
        return SMALL
    try:
        factor = float(given)
    except ValueError:
        factor = 0
    if not 0 < factor <= 1:
        what = f"{label} must be small, or a number above 0 and at most 1 (got '{given}')"
        raise Refused(what, fix=f"{label} 0.01")
    return factor


@verb()
def bench(
    c: Context,
    comparison: AgainstOptions,
    gate: GateOptions,
    users: UsersOptions,
    layouts: LayoutsOptions,
    name: Name = "",
    preset: Annotated[
        str,
        Option(
            "load to send: guide-cuda, guide-rocm, chat, agent, long-context, code, or one of the recipe",
            metavar="PRESET",
        ),
    ] = "guide-cuda",
    scale: Annotated[
        float,
        Option(
            "factor for lengths, requests and concurrency, e.g. 0.02 on a CPU; small is 0.1",
            metavar="NUMBER",
            parse=scale_of,
        ),
    ] = 1.0,
    repeat: Annotated[
        int, Option("number of measured runs, each with other prompts", minimum=1, maximum=MOST_REPEATS)
    ] = 1,
    results: Annotated[
        str,
        Option(
            "folder for the records, e.g. ./results (default: results/ in the state folder)",
            metavar="PATH",
            setting=True,
        ),
    ] = "",
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Measure a running server with `vllm bench serve` inside its container and record the result.

    Each run is judged: `good`, `remarks` or `void`. The exit code is 1 if a run is void, or if a gate fails.
    A gate that cannot tell adds up to five runs. With --slo, several numbers of users are measured, and the answer
    is how many of them the server serves within the limits; lengths are those of the preset.

    invoke bench --preset guide-cuda --repeat 5
    invoke bench slipway-minimax-m2 --preset chat --scale small
    invoke bench --repeat 5 --against last
    invoke bench --repeat 5 --gate baseline.jsonl --max-regression 5%
    invoke bench --preset chat --slo ttft=2s,tpot=50ms
    invoke bench --layouts --goal throughput --budget 2h
    """
    from launch.bench.target import hardware_of
    from launch.engine.client import connect
    from launch.paths import results_dir, writable

    _check(users, comparison, gate, repeat, layouts)
    repeat = repeats(comparison, repeat)
    if layouts.layouts:
        _measure_layouts(layouts, name, preset, scale, results, users, format, dry_run)
        return
    if dry_run:
        _show_commands(name, preset, scale, repeat, users)
        return
    client = connect()
    container = running(client, name)
    workload = _workload(container, preset, scale)
    folder = writable(results_dir(results))  # before the run, which may take an hour
    if users.asked:
        _measure_users(client, container, workload, folder, users, format)
        return
    key, hardware = _key(container, workload), partial(hardware_of, container)
    compared = comparisons(comparison, gate, folder, key, hardware)
    group = Group(secrets.token_hex(6), workload, folder, format)
    data: dict[str, Any] = {}
    try:
        group.measure(client, container, repeat)
        for found in compared.conclusions(group.side, lambda: group.measure(client, container, 1)[-1]):
            data |= found.data
            if format == "text" and found.text:
                show(f"\n{found.text}")
            end(found)
    finally:
        if format == "json" and group.records:
            emit(group.data | data)
    if group.void:
        raise Exit(code=Failed.code)


def _check(
    users: UsersOptions, comparison: AgainstOptions, gate: GateOptions, repeat: int, layouts: LayoutsOptions
) -> None:
    """Raise Refused for options that do not belong together."""
    if layouts.layouts and users.asked:
        raise Refused("--layouts cannot be used with --slo or --sweep", fix="--layouts alone")
    if not layouts.layouts and layouts != LayoutsOptions():
        raise Refused(
            "--model, --goal and other options of layouts need --layouts", fix="invoke bench --layouts"
        )
    if not users.asked and not layouts.layouts:
        return
    option = "--layouts" if layouts.layouts else "--slo" if users.slo else "--sweep"
    others = {
        "--repeat": repeat > 1,
        "--against": bool(comparison.against),
        "--noise": comparison.noise,
        "--gate": bool(gate.gate),
    }
    if given := [name for name, is_given in others.items() if is_given]:
        why = "it measures one run of each number of users"
        raise Refused(f"{option} cannot be used with {given[0]}", why=why, fix=f"{option} alone")


def _measure_users(
    client: DockerClient,
    container: Container,
    workload: Workload,
    folder: Path,
    options: UsersOptions,
    format: str,
) -> None:
    """Measure points. Each is a group of its own, because it has another workload."""
    from commands.bench_users import UsersBench

    def run(point: Workload) -> tuple[Record, bytes]:
        group = Group(secrets.token_hex(6), point, folder, "none")
        group.measure(client, container, 1)
        return group.records[-1], group.requests

    UsersBench(workload, options, run).report(format)


def _measure_layouts(
    layouts: LayoutsOptions,
    name: str,
    preset: str,
    scale: float,
    results: str,
    users: UsersOptions,
    format: str,
    dry_run: bool,
) -> None:
    """Measure the layouts of a model, each in a server of its own."""
    from commands.bench_layouts import BUDGET, LayoutsBench
    from launch.engine.client import connect
    from launch.paths import results_dir, writable

    if name:
        why, fix = "it starts servers of its own", "invoke bench --layouts --model MODEL"
        raise Refused(f"--layouts cannot be used with the server '{name[:60]}'", why=why, fix=fix)
    bench = LayoutsBench(
        layouts,
        lambda container: _workload(container, preset, scale, layouts.model),
        results_dir(results),
        users.seconds(BUDGET),
        format,
    )
    if dry_run:
        bench.dry_run()
        return
    client = connect()
    writable(bench.folder)
    bench.report(client)


def _workload(container: Container | None, preset: str, scale: float, model: str = "") -> Workload:
    """Return the load for a server; without one, for a model. Raises Refused for an unknown preset."""
    labels = container.labels if container else {"slipway.model": model or MODEL}
    weights = labels.get("slipway.weights", "")
    folder = weights if weights.startswith("/") else ""
    return workload_for(labels["slipway.model"], preset, scale, labels.get("slipway.commit", ""), folder)


def workload_for(model: str, preset: str, scale: float, commit: str = "", folder: str = "") -> Workload:
    """Return the load for a model, whose weights may be in a folder. Raises Refused for an unknown preset."""
    from launch.bench.presets import command, preset_of, presets
    from launch.bench.run import Workload
    from launch.bench.server import recipe_of

    recipe = recipe_of(model)
    chosen = preset_of(preset, presets(recipe.extension.bench, recipe.name) if recipe else presets())
    return Workload(preset, chosen, command(chosen, model, scale, commit, folder), scale)


def _key(container: Container, workload: Workload) -> dict[str, str]:
    """Return what earlier runs must have in common with this benchmark."""
    from launch.bench.presets import load_of, sampling_of
    from launch.bench.records import workload_of

    model, vllm = container.labels["slipway.model"], container.labels.get("slipway.vllm", "")
    sampling = sampling_of(workload.argv, vllm)
    return workload_of(model, workload.name, load_of(workload.preset, workload.argv), sampling)


def _show_commands(name: str, preset: str, scale: float, repeat: int, users: UsersOptions) -> None:
    """Print what would run. Without an engine or a server, the command is that for the model of the guide."""
    from launch.bench.users import for_users
    from launch.engine.client import connect
    from launch.spec.server_name import name_for

    try:
        container = running(connect(), name)
    except SlipwayError as error:
        say(f"No server: {error.what}. The command is for {MODEL}.")
        container = None
    workload = _workload(container, preset, scale)
    target = str(container.name) if container else name or name_for(MODEL)
    points = [workload] * repeat
    if users.asked:  # a search begins with one user
        points = [for_users(workload, number) for number in users.sweep or (1,)]
    for number, point in enumerate(points, start=1):
        seed = "SEED" if len(points) == 1 else f"SEED-{number}"
        print(shlex.join(["docker", "exec", target, *point.argv, "--seed", seed]))
