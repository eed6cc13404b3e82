"""Conclusions from benchmarks: a comparison, a gate, the noise of this host, the figures of the guide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commands.output import LOG, emit, show
from errors import Failed, SlipwayError

if TYPE_CHECKING:
    from launch.bench.compare_runs import RunComparison
    from launch.bench.comparison_options import GateOptions
    from launch.bench.gate import Decision
    from launch.bench.history import Side
    from launch.bench.record import Record


@dataclass(frozen=True)
class Conclusion:
    """A part of the output: text for a person, values for a program, then a warning or an error."""

    text: str
    data: Mapping[str, Any]
    warning: str = ""
    error: SlipwayError | None = None


def finish(found: Conclusion, format: str) -> None:
    """Print a conclusion. Raises its error."""
    if format == "json":
        emit(found.data)
    elif found.text:
        show(found.text)
    end(found)


def end(found: Conclusion) -> None:
    """Print the warning of a conclusion. Raises its error."""
    if found.warning:
        LOG.warning("%s", found.warning)
    if found.error:
        raise found.error


def spread(runs: Side) -> Conclusion | None:
    """Return the mean and the spread of several runs; None for one run."""
    from commands.report_output import group_json, overview_text
    from launch.bench.against import Entry

    if len(runs.runs) < 2:
        return None
    entry = Entry(runs, None)
    return Conclusion(overview_text([entry]), {"summary": group_json(entry)})


def against(new: Side, old: Side | None) -> Conclusion:
    """Compare runs with earlier ones; `old` is None if there are none of the same workload."""
    from commands import comparison_output
    from launch.bench.against import compare

    if old is None:
        return Conclusion(
            "", {"comparison": None}, "there is no earlier run of this workload to compare with"
        )
    found = compare(old, new)
    data = {"comparison": comparison_output.comparison_json(found)}
    return Conclusion(comparison_output.comparison_text(found), data)


def gated(
    new: Side, old: Side, options: GateOptions, again: Callable[[], Record] | None = None
) -> Conclusion:
    """Compare runs with a baseline, and decide. Raises Refused if they cannot be compared."""
    from commands import comparison_output
    from launch.bench.against import gate

    found, decision = gate(old, new, options, again)
    text = f"{comparison_output.comparison_text(found)}\ngate: {decision}"
    gate_data = {
        "result": str(decision),
        "metrics": list(options.metrics),
        "max_regression": options.limit,
        "comparison": comparison_output.comparison_json(found),
    }
    warning, error = _consequence(found, decision, options)
    return Conclusion(text, {"gate": gate_data}, warning, error)


def noise(side: Side) -> Conclusion:
    """Measure the noise of this host and keep it. Raises Failed if there are too few runs."""
    from launch.bench.metrics import load_metrics
    from launch.bench.noise import measure_noise, save

    found = measure_noise(side)
    path = save(found)
    rows = [f"{m.label}: {100 * found.floors[m.key]:.1f} %" for m in load_metrics() if m.key in found.floors]
    text = f"noise of this host ({found.runs} runs of one start): {', '.join(rows)}\nkept in {path}"
    return Conclusion(text, {"noise": found.model_dump(mode="json", by_alias=True)})


def guide(side: Side) -> Conclusion | None:
    """Return the guide's figures next to those of its own benchmark; None for other runs."""
    from commands import comparison_output
    from launch.bench.guide_figures import guide_rows, load_guide_figures

    rows, caution = guide_rows(side), load_guide_figures().caution
    if not rows:
        return None
    data = {"guide": comparison_output.guide_json(rows, caution)}
    return Conclusion(comparison_output.guide_text(rows, caution), data)


def _consequence(
    found: RunComparison, decision: Decision, options: GateOptions
) -> tuple[str, SlipwayError | None]:
    """Return the warning and the error of a decision."""
    from launch.bench.gate import Decision, decide_row
    from launch.bench.wording import interval, ratio

    rows = [row for key in options.metrics if decide_row(row := found.row(key), options.limit) is decision]
    why = "; ".join(
        f"{row.metric.key}: ratio {ratio(row.comparison.ratio)}, interval {interval(row.comparison)}"
        for row in rows
    )
    accepted = f"{why or found.limits[-1]}; accepted regression: {options.max_regression}"
    fix = f"invoke report {found.old.name} {found.new.name}"
    if decision is Decision.REGRESSION:
        return "", Failed(f"slower than the baseline '{found.old.name}'", why=accepted, fix=fix)
    if decision is Decision.PASSED:
        return "", None
    what = f"the gate cannot tell whether it is slower than '{found.old.name}'"
    more = "invoke bench --gate FILE --repeat 10"
    return ("", Failed(what, why=accepted, fix=more)) if options.strict else (f"{what}: {accepted}", None)
