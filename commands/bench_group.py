"""The runs of one `invoke bench`: measure, show and record them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.output import bar, say, show

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from launch.bench.history import Side
    from launch.bench.record import Record
    from launch.bench.run import Measured, Workload
    from launch.bench.target import Target


@dataclass
class Group:
    """The runs of one command."""

    id: str
    workload: Workload
    folder: Path
    format: str
    records: list[Record] = field(default_factory=list)
    requests: bytes = b""  # of the last run, as its file has them

    @property
    def side(self) -> Side:
        """The runs as one side of a comparison."""
        from launch.bench.history import Side

        return Side(self.id, tuple(self.records))

    @property
    def data(self) -> dict[str, Any]:
        """The runs as JSON values."""
        return {
            "group": self.id,
            "runs": [run.model_dump(mode="json", by_alias=True) for run in self.records],
        }

    @property
    def void(self) -> bool:
        """Whether a run is void."""
        return any(record.validity.outcome == "void" for record in self.records)

    def measure(self, client: DockerClient, container: Container, count: int) -> list[Record]:
        """Measure, show and record runs, until the server is gone. Raises Failed if a record cannot be written."""
        from launch.bench.lock import only_benchmark_of
        from launch.bench.target import of_container

        with only_benchmark_of(str(container.name), str(container.short_id)) as lock:
            return self.measure_target(of_container(client, container, lock), count)

    def measure_target(self, target: Target, count: int) -> list[Record]:
        """Measure, show and record runs of a server that no other benchmark of this host measures."""
        from launch.bench.run import Repeat, measure, prepare

        with bar(f"warm-up for {self.workload.name}") as progress:
            warmed = prepare(target, self.workload, progress.update)
        first, last = len(self.records) + 1, len(self.records) + count
        for number in range(first, last + 1):
            place = f" {number}/{last}" if last > 1 else ""
            with bar(f"bench {self.workload.name}{place}") as progress:
                repeat = Repeat(self.id, number, last, warmed)
                measured = measure(target, self.workload, repeat, progress.update, self._save)
            self._finish(measured)
            if measured.record.status == "interrupted":
                break
        return self.records

    def _save(self, record: Record) -> None:
        from launch.bench.records import write

        write(record, self.folder)

    def _finish(self, measured: Measured) -> None:
        """Show the figures of a run, then write its record: a full disk must not lose the measurement."""
        from launch.bench.figures import format_figures, format_load, format_validity
        from launch.bench.records import write

        self.records.append(measured.record)
        self.requests = measured.requests
        if self.format == "text":
            lines = [format_load(measured.record), *format_figures(measured.record)]
            show("\n".join([*lines, *format_validity(measured.record)]))
        path = write(measured.record, self.folder, measured.requests)
        say(f"recorded in {path}")
