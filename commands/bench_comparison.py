"""Compare the runs of `invoke bench` with earlier ones. What they are compared with is read before the first run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Refused

if TYPE_CHECKING:
    from commands.conclusions import Conclusion
    from launch.bench.comparison_options import AgainstOptions, GateOptions
    from launch.bench.history import Side
    from launch.bench.record import Record


@dataclass(frozen=True)
class Comparisons:
    """The comparisons that follow a benchmark. `earlier` is None if there is no run to compare with."""

    asked: AgainstOptions
    gate: GateOptions
    earlier: Side | None = None
    baseline: Side | None = None

    def conclusions(self, runs: Side, again: Callable[[], Record]) -> Iterator[Conclusion]:
        """Yield what follows from runs; nothing if all are void. `again` measures one more run for the gate."""
        from commands import conclusions

        if not runs.usable:
            return
        if found := conclusions.spread(runs):
            yield found
        if found := conclusions.guide(runs):
            yield found
        if self.asked.noise:
            yield conclusions.noise(runs)
        if self.asked.against:
            yield conclusions.against(runs, self.earlier)
        if self.baseline:
            yield conclusions.gated(runs, self.baseline, self.gate, again)


def comparisons(
    asked: AgainstOptions,
    gate: GateOptions,
    folder: Path,
    workload: Mapping[str, str],
    hardware: Callable[[], str],
) -> Comparisons:
    """Find what a benchmark of this workload is compared with. Raises Refused if it cannot be compared.

    `hardware` is asked only for a gate: the hardware of the server, for example `4 x h20`.
    """
    from launch.bench import gate as gates
    from launch.bench.history import require_workload

    earlier = _earlier(asked.against, folder, workload) if asked.against else None
    baseline = gates.baseline(gate) if gate.gate else None
    if baseline:
        gates.require_hardware(baseline, {hardware()})
    for side in filter(None, (earlier, baseline)):
        require_workload(side, "this benchmark", workload)
    return Comparisons(asked, gate, earlier, baseline)


def repeats(asked: AgainstOptions, repeat: int) -> int:
    """Return the number of runs: the noise needs several. Raises Refused for too few."""
    from launch.bench.noise import LEAST, USUAL

    if not asked.noise or repeat >= LEAST:
        return repeat
    if repeat == 1:
        return USUAL
    raise Refused(f"--noise needs --repeat {LEAST} or more (got '{repeat}')", fix=f"--repeat {USUAL}")


def _earlier(name: str, folder: Path, workload: Mapping[str, str]) -> Side | None:
    """Return the named runs; for `last` the newest ones of this host and workload, if there are any."""
    from launch.bench.against import of_host, read_history
    from launch.bench.compare_runs import require_usable
    from launch.bench.history import LAST, find_side, newest

    known = read_history(folder)
    if name == LAST:
        return newest(of_host(known, platform.node()), workload)
    side = find_side(name, known)
    require_usable(side)
    return side
