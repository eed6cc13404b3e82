"""Start the layouts of a model on this host one after another, and measure them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused, SlipwayError
from launch.bench.layouts.schedule import MOST_LAYOUTS, LayoutFailed
from launch.bench.layouts.trial import Start, Trial
from launch.engine import containers
from launch.engine.servers import STATE, find, list_servers
from launch.operations import servers
from launch.operations.compare import Candidate, layouts
from launch.operations.events import Events
from launch.operations.launch import Launched, launch
from launch.operations.launch_options import LaunchOptions
from launch.operations.measured_layout import asked_gpus
from launch.operations.plan_inputs import recipe_of
from launch.paths import state_dir
from launch.planning.capacity import Machine
from launch.spec.plan import AUTO_PORT, Plan
from launch.spec.plan_options import PlanOptions
from launch.supervision import service

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from launch.bench.record import Record
    from launch.bench.run import Workload

NAME = "slipway-layouts"  # of the servers that are measured
STOP_SECONDS = 30


def candidates(options: PlanOptions) -> tuple[Plan, ...]:
    """Return the plans of the valid layouts that fit, the recipe's own first: of all GPUs, of half of them, ...

    Raises Refused if there is none.
    """
    recipe = recipe_of(options)
    count, found = asked_gpus(options), list[Candidate]()
    while count:
        found += layouts(options, Machine("", count), recipe)
        count //= 2
    plans = [one.plan for one in found if one.plan and one.plan.fit.result != "does not fit"]
    if not plans:
        raise next((one.refused for one in found if one.refused), Refused("no layout of this model fits"))
    by_name = {plan.layout.name: plan for plan in reversed(plans)}
    return tuple(plan for plan in plans if by_name[plan.layout.name] is plan)[:MOST_LAYOUTS]


@contextmanager
def without_servers(client: DockerClient, stop: bool, events: Events) -> Iterator[None]:
    """Stop the servers that run for the block, and start them again after it. Raises Refused unless `stop`."""
    running = [find(client, one.name) for one in list_servers(client) if one.status == "running"]
    _require_free(running, stop)
    stopped: list[Container] = []
    try:
        for server in running:
            events.note(f"{server.name}: stopped for the benchmark")
            stopped.append(server)
            server.stop(timeout=STOP_SECONDS)
        yield
    finally:
        _put_back(client, stopped, events)


def _require_free(running: list[Container], stop: bool) -> None:
    names = ", ".join(str(server.name) for server in running)
    if running and not stop:
        why = f"it would be measured together with: {names}"
        raise Refused("a server runs on this host", why=why, fix="--stop-server, or invoke stop")
    if NAME in [server.name for server in running]:
        why = "another benchmark of layouts runs, or one was killed"
        raise Refused(f"'{NAME}' runs already", why=why, fix=f"invoke stop {NAME}")
    if others := [str(one.name) for one in running if one.labels.get(STATE) != str(state_dir())]:
        why = "it was started with another state folder, so by another user"
        raise Refused(f"'{others[0]}' is not stopped", why=why, fix="wait until it has ended")
    if supervised := [str(server.name) for server in running if service.pid(str(server.name))]:
        why = "its supervisor would start it again during the benchmark"
        raise Refused(f"'{supervised[0]}' is supervised", why=why, fix=f"invoke stop {supervised[0]}")


def _put_back(client: DockerClient, stopped: list[Container], events: Events) -> None:
    """Start servers again. Raises Failed with the command for one that cannot be started."""
    failed: list[str] = []
    for server in stopped:
        try:
            servers.restart(client, server)
            events.note(f"{server.name}: started again")
        except Exception as error:  # the others have to be started too
            failed.append(f"{server.name}: {str(error).splitlines()[0]}")
    if failed:
        names = " && ".join(f"invoke restart {line.split(':')[0]}" for line in failed)
        raise Failed("a server was not started again", why="; ".join(failed), fix=names)


@dataclass(frozen=True)
class LayoutBench:
    """Measures one start of a layout. `workload` describes the load for a server, by number of users."""

    client: DockerClient
    options: PlanOptions
    workload: Callable[[Container, int], Workload]
    folder: Path  # of the records
    events: Events
    save: Callable[[Record, Path, bytes], object]

    def measure(self, trial: Trial, users: tuple[int, ...], repeats: int) -> Start:
        """Start a server, measure it and remove it.

        Raises LayoutFailed if its container fails or a run is void, and SlipwayError for what all layouts would meet.
        """
        wanted = replace(
            self.options, strategy=trial.strategy, gpus=str(trial.gpus), name=NAME, port=AUTO_PORT
        )
        try:
            launched = launch(wanted, LaunchOptions(replace=True), self.events)
            return self._measure(launched, users, repeats)
        except SlipwayError as error:
            if self._container() is None:
                raise
            raise LayoutFailed(error.what, why=error.why) from error
        finally:
            self._remove()

    def _measure(self, launched: Launched, users: tuple[int, ...], repeats: int) -> Start:
        from launch.bench.compare_runs import Summary

        group = secrets.token_hex(6)
        order = [count for _ in range(repeats) for count in users]
        runs = [(count, *self._point(launched.container, count, group)) for count in order]
        by_users = {count: Summary(tuple(rate for n, rate, _ in runs if n == count)).mean for count in users}
        return Start(by_users, tuple(run for _, _, run in runs))

    def _point(self, container: Container, users: int, group: str) -> tuple[float, str]:
        """Measure one run; return output tokens a second, and the id of its record."""
        from launch.bench.lock import only_benchmark_of
        from launch.bench.run import Repeat, measure, prepare
        from launch.bench.target import of_container

        workload = self.workload(container, users)
        with (
            only_benchmark_of(str(container.name), str(container.short_id)) as lock,
            self.events.step(f"{users} at once") as show,
        ):
            target = of_container(self.client, container, lock)
            warmed = prepare(target, workload, show)
            measured = measure(target, workload, Repeat(group, warmed=warmed), show, self._save)
        self.save(measured.record, self.folder, measured.requests)
        return rate_of(measured.record), measured.record.id

    def _save(self, record: Record) -> None:
        self.save(record, self.folder, b"")

    def _remove(self) -> None:
        """Remove the server, also one that failed to start; its log is kept."""
        if container := self._container():
            containers.stop(container, STOP_SECONDS)

    def _container(self) -> Container | None:
        with suppress(Refused):
            return find(self.client, NAME)
        return None


def rate_of(record: Record) -> float:
    """Return the output tokens a second of a run. Raises Failed if it cannot be used."""
    from launch.bench.compare_runs import measured
    from launch.bench.history import Side
    from launch.bench.metrics import MAIN, metric

    rate = measured(record, metric(MAIN))
    if Side(record.group, (record,)).usable and rate:
        return rate
    why = "; ".join(one.sentence for one in record.validity.remarks if one.outcome == "void")
    raise Failed("a run cannot be used", why=why or "it has no output throughput")
