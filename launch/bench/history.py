"""Find recorded runs: the groups of the results folder, and the runs that a name or a file stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from errors import Refused, choice
from launch.bench.record import Record
from launch.bench.records import SUFFIX, read_file, workload_key
from launch.spec.control_characters import one_line

LAST = "last"
_LIST = "invoke report"


@dataclass(frozen=True)
class Side:
    """Runs of one workload that are one side of a comparison: a group, several groups, or the runs of a file."""

    name: str
    runs: tuple[Record, ...]

    @property
    def usable(self) -> tuple[Record, ...]:
        """The runs that may be compared: complete and not void."""
        return tuple(run for run in self.runs if run.status == "complete" and run.validity.outcome != "void")

    @property
    def workload(self) -> dict[str, str]:
        """The workload of all its runs."""
        return workload_key(self.runs[0])

    @property
    def starts(self) -> tuple[str, ...]:
        """The starts of a server in which usable runs were measured."""
        return tuple(dict.fromkeys(run.server.start_id for run in self.usable))


def groups(records: Sequence[Record]) -> list[Side]:
    """Return the groups, oldest first. A run that was read twice counts once."""
    found: dict[str, dict[str, Record]] = {}
    for run in sorted(records, key=lambda run: (run.time, run.repeat)):
        found.setdefault(run.group, {})[run.id] = run
    return [Side(name, tuple(runs.values())) for name, runs in found.items()]


def newest(known: Sequence[Side], workload: Mapping[str, str]) -> Side | None:
    """Return the newest group of a workload that has a usable run."""
    return next((one for one in reversed(known) if one.usable and one.workload == workload), None)


def previous(side: Side, known: Sequence[Side]) -> Side | None:
    """Return the newest older group of the same workload that has a usable run."""
    older = [one for one in known if one.name != side.name and one.runs[0].time < side.runs[0].time]
    return newest(older, side.workload)


def find_side(text: str, known: Sequence[Side]) -> Side:
    """Return the runs that `text` names: groups, runs, files or servers, several joined by commas.

    `last` is the newest group. Raises Refused.
    """
    parts = [_find(part.strip(), known) for part in text.split(",")]
    name = text if len(parts) > 1 else parts[0].name
    return _one_workload(name, [run for part in parts for run in part.runs])


def side_of_file(path: str) -> Side:
    """Return the runs of a file as one side. Raises Refused."""
    return _one_workload(path, read_file(Path(path).expanduser()))


def require_same_workload(old: Side, new: Side) -> None:
    """Raise Refused with the keys that differ, unless two sides have the same workload."""
    require_workload(old, new.name, new.workload)


def require_workload(old: Side, name: str, workload: Mapping[str, str]) -> None:
    """Raise Refused with the keys that differ, unless a side has the workload of what is called `name`."""
    a, b = old.workload, workload
    different = [
        f"{key} {a.get(key, 'not set')} and {b.get(key, 'not set')}"
        for key in dict.fromkeys((*a, *b))
        if a.get(key) != b.get(key)
    ]
    if different:
        what = f"'{old.name}' and '{name}' are different workloads"
        raise Refused(one_line(what), why=one_line("; ".join(different)), fix=_LIST)


def _one_workload(name: str, runs: Sequence[Record]) -> Side:
    """Return a side with each run once. Raises Refused if the runs have several workloads."""
    side = Side(name, tuple({run.id: run for run in runs}.values()))
    for run in side.runs[1:]:
        if workload_key(run) != side.workload:
            one, other = Side(f"run {side.runs[0].id}", side.runs[:1]), Side(f"run {run.id}", (run,))
            require_same_workload(one, other)
    return side


def _find(text: str, known: Sequence[Side]) -> Side:
    if text == LAST and not known:
        raise Refused("there are no recorded runs", fix="invoke bench")
    if text == LAST:
        return known[-1]
    exact = [one for one in known if one.name == text]
    runs = [run for one in known for run in one.runs if run.id == text]
    if exact or runs:
        return exact[0] if exact else Side(text, (runs[0],))
    if "/" in text or text.endswith((SUFFIX, ".json", ".jsonl")) or _is_file(text):
        return side_of_file(text)
    of_server = [one for one in known if one.runs[0].server.name == text]
    if of_server:
        return of_server[-1]
    return _by_prefix(text, known)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no file can have this name
        return False


def _by_prefix(text: str, known: Sequence[Side]) -> Side:
    found = [one for one in known if text and one.name.startswith(text)]
    if len(found) == 1:
        return found[0]
    names = [one.name for one in known]
    if found:
        raise Refused(f"'{text}' is the start of {len(found)} groups", why=", ".join(n.name for n in found))
    if not names:
        raise Refused(f"unknown run '{text}'", why="there are no recorded runs", fix="invoke bench")
    raise choice("run", text, names[-8:])
