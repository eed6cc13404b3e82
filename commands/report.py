"""`invoke report`: recorded benchmarks with their spread and validity, compared with each other."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import emit, say, show
from commands.shared_options import OUTPUT
from commands.task import verb
from errors import Refused
from launch.bench.comparison_options import GateOptions
from launch.spec.option import Option

if TYPE_CHECKING:
    from launch.bench.history import Side

PAGES = ("markdown", "html", "png")
FORMATS = ("table", "json", *PAGES)


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
    slo: Annotated[
        str,
        Option("limits that a page shows, e.g. ttft=2s,tpot=50ms", metavar="LIMITS", group=OUTPUT),
    ] = "",
    format: Annotated[
        str,
        Option("output format; markdown, html and png are one page", choices=FORMATS, group=OUTPUT),
    ] = "table",
    output: Annotated[str, Option("write to this file, not to stdout", metavar="FILE", group=OUTPUT)] = "",
) -> None:
    """Show recorded benchmarks, newest last, and compare each with the one before of the same workload.

    With RUNS, compare each with the one before it. With --gate, the exit status is 1 if the runs are slower than
    a baseline. Void and interrupted runs are never compared. A page shows one model: the newest runs, charts, what
    changed, and the command that measures again.

    invoke report
    invoke report 1f0c2a last
    invoke report --gate baseline.jsonl --max-regression 5%
    invoke report --format html --output report.html
    """
    from commands.report_file import stdout_to
    from launch.bench.against import of_host, read_history
    from launch.paths import results_dir

    _check(gate, slo, format)
    known = read_history(results_dir(results), required=bool(results))
    with stdout_to(output):
        if format in PAGES:
            _page(known, runs, slo, format)
        elif gate.gate:
            _gate(known, runs, gate, format)
        elif runs:
            _compare(known, runs, format)
        else:
            _overview(of_host(known, platform.node()), len(known), format)


def _check(gate: GateOptions, slo: str, format: str) -> None:
    """Raise Refused for options that do not belong together."""
    if gate.gate and format in PAGES:
        raise Refused(
            f"--gate has no page (got '--format {format}')", fix="--format table or json with --gate"
        )
    if slo and format not in PAGES:
        raise Refused(
            f"--slo is shown on a page only (got '--format {format}')", fix="--format html with --slo"
        )


def _page(known: list[Side], names: tuple[str, ...], slo: str, format: str) -> None:
    """Print one page: of the named runs, or of all of this host."""
    from commands.report_file import write_bytes
    from launch.bench.against import compare, of_host
    from launch.bench.history import find_side
    from launch.bench.slo import parse_slo
    from launch.report.page import build_page, headline

    limits = parse_slo(slo) if slo else None
    sides = [find_side(name, known) for name in names] if names else of_host(known, platform.node())
    page = build_page(sides, compare, limits)
    if format == "png":
        from launch.report.charts import picture

        write_bytes(picture(page, f"{page.title}: {headline(page)}"))
    elif format == "html":
        from launch.report.html_page import html

        show(html(page).rstrip("\n"))
    else:
        from launch.report.markdown import markdown

        show(markdown(page))


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
