"""`invoke report`: recorded benchmarks with their spread and validity, compared with each other."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import emit, say, show
from commands.shared_options import Format
from commands.task import verb
from errors import Refused
from launch.bench.comparison_options import GateOptions
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.bench.history import Side


@verb()
def report(
    c: Context,
    gate: GateOptions,
    runs: Annotated[
        tuple[str, ...],
        Option(
            "runs to compare: group, run, server, file or `last`; joined by commas they are one side",
            metavar="RUNS...",
            positional=True,
        ),
    ] = (),
    results: Annotated[
        str,
        Option(
            "folder of the records, e.g. ./results (default: results/ in the state folder)",
            metavar="PATH",
            setting=True,
        ),
    ] = "",
    format: Format = "text",
) -> None:
    """Show recorded benchmarks, newest last, and compare each with the one before of the same workload.

    With RUNS, compare each with the one before it. With --gate, the exit status is 1 if the runs are slower than
    a baseline. Void and interrupted runs are never compared.

    invoke report
    invoke report 1f0c2a last
    invoke report --gate baseline.jsonl --max-regression 5%
    """
    from launch.bench.against import of_host, read_history
    from launch.paths import results_dir

    known = read_history(results_dir(results), required=bool(results))
    if gate.gate:
        _gate(known, runs, gate, format)
    elif runs:
        _compare(known, runs, format)
    else:
        _overview(of_host(known, platform.node()), len(known), format)


def _overview(known: list[Side], recorded: int, format: str) -> None:
    from commands.report_output import overview_json, overview_text
    from launch.bench.against import by_workload, history

    entries = history(known)
    if format == "json":
        emit(overview_json(entries))
    elif entries:
        show("\n\n".join(map(overview_text, by_workload(entries))))
    else:
        say("There are no recorded benchmarks. Record one with `invoke bench`.")
    if recorded > len(known):
        say(f"{recorded - len(known)} groups of other hosts are not shown; name them to compare them")


def _compare(known: list[Side], names: tuple[str, ...], format: str) -> None:
    from commands.comparison_output import comparison_json, comparison_text
    from launch.bench.against import compare_named
    from launch.bench.history import find_side

    if len(names) == 1:
        _one(find_side(names[0], known), format)
        return
    found = compare_named(names, known)
    if format == "json":
        emit({"comparisons": [comparison_json(one) for one in found]})
    else:
        show("\n\n".join(map(comparison_text, found)))


def _one(side: Side, format: str) -> None:
    """Print one side, and the figures of the guide if it is the guide's benchmark."""
    from commands.conclusions import guide
    from commands.report_output import overview_json, overview_text
    from launch.bench.against import Entry

    entry, figures = Entry(side, None), guide(side)
    if format == "json":
        emit({**overview_json([entry]), **(figures.data if figures else {})})
    else:
        show("\n\n".join([overview_text([entry]), *([figures.text] if figures else [])]))


def _gate(known: list[Side], names: tuple[str, ...], options: GateOptions, format: str) -> None:
    from commands.conclusions import finish, gated
    from launch.bench.gate import baseline
    from launch.bench.history import find_side

    if len(names) > 1:
        raise Refused("--gate compares one RUNS with a baseline", why=f"given: {' '.join(names)}")
    old = baseline(options)
    finish(gated(find_side(names[0] if names else "last", known), old, options), format)
