"""Compare recorded runs with the noise of this host, and read the history of a results folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from errors import Refused
from launch.bench.compare_runs import RunComparison, compare_runs
from launch.bench.comparison import Outcome
from launch.bench.comparison_options import GateOptions
from launch.bench.gate import EXTRA_REPEATS, Decision, decide, require_same_hardware
from launch.bench.history import Side, find_side, groups, previous
from launch.bench.noise import floors_for
from launch.bench.record import Record
from launch.bench.records import read_all

DRIFTED = "the runs became slower while they were measured: the host changed, not only the server"
_OTHER_FOLDER = "--results FOLDER with the folder of the records"


@dataclass(frozen=True)
class Entry:
    """A group of the history, and its comparison with the one before of the same workload, if there is one."""

    side: Side
    comparison: RunComparison | None


def read_history(folder: Path, required: bool = False) -> list[Side]:
    """Return the groups of a results folder, oldest first. Raises Refused if it cannot be read.

    `required`: the folder must exist.
    """
    why = ""
    if folder.exists() and not folder.is_dir():
        why = "it is not a folder"
    elif required and not folder.exists():
        why = "it does not exist"
    elif folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        why = "Permission denied"
    if why:
        raise Refused(f"cannot read the results folder '{folder}'", why=why, fix=_OTHER_FOLDER)
    return groups(read_all(folder))


def of_host(known: Sequence[Side], host: str) -> list[Side]:
    """Return the groups that were measured from this host."""
    return [side for side in known if side.runs[0].host.name in ("", host)]


def compare(old: Side, new: Side) -> RunComparison:
    """Compare two sides, with the noise of their hosts. Raises Refused if they cannot be compared."""
    return compare_runs(old, new, floors_for(old, new))


def compare_named(names: Sequence[str], known: Sequence[Side]) -> list[RunComparison]:
    """Compare each of the named sides with the one before it. Raises Refused."""
    sides = [find_side(name, known) for name in names]
    return [compare(old, new) for old, new in pairwise(sides)]


def gate(
    old: Side, new: Side, options: GateOptions, again: Callable[[], Record] | None = None
) -> tuple[RunComparison, Decision]:
    """Compare with a baseline; while the gate cannot tell, measure `again`, EXTRA_REPEATS times at most.

    More repeats do not help against a baseline of one run. If the added runs are slower than the first ones, the host
    changed meanwhile, and the gate cannot tell. Raises Refused for a baseline of other hardware.
    """
    require_same_hardware(old, new)
    found, first = compare(old, new), len(new.runs)
    for _ in range(EXTRA_REPEATS if len(old.usable) > 1 else 0):
        if again is None or decide(found, options.metrics, options.limit) is not Decision.UNCLEAR:
            break
        new = Side(new.name, (*new.runs, again()))
        found = compare(old, new)
    decision = decide(found, options.metrics, options.limit)
    if decision is Decision.REGRESSION and _drifted(new, first, options.metrics):
        return replace(found, limits=(*found.limits, DRIFTED)), Decision.UNCLEAR
    return found, decision


def _drifted(side: Side, first: int, metrics: Sequence[str]) -> bool:
    """Whether the runs after the first ones are slower than these, although nothing was changed between them."""
    before, after = Side(side.name, side.runs[:first]), Side(side.name, side.runs[first:])
    if min(len(before.usable), len(after.usable)) < 2:
        return False
    found = compare(before, after)
    return any(found.row(key).comparison.outcome is Outcome.SLOWER for key in metrics)


def history(known: Sequence[Side]) -> list[Entry]:
    """Return each group with its comparison with the one before of the same workload."""
    return [Entry(side, _with_previous(side, known)) for side in known]


def by_workload(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Return the entries by workload, the workload of the newest entry last."""
    found: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in entries:
        key = tuple(sorted(entry.side.workload.items()))
        found[key] = [*found.pop(key, []), entry]
    return list(found.values())


def _with_previous(side: Side, known: Sequence[Side]) -> RunComparison | None:
    old = previous(side, known) if side.usable else None
    try:
        return compare(old, side) if old else None
    except Refused:  # they have no metric in common
        return None
