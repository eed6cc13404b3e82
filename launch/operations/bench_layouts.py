"""Start the layouts of a model on this host one after another, and measure them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from errors import Failed, Refused, SlipwayError
from launch.bench.layouts.schedule import MOST_LAYOUTS, LayoutFailed
from launch.bench.layouts.trial import Start, Trial
from launch.engine import containers
from launch.engine.servers import find
from launch.operations.compare import Candidate, layouts
from launch.operations.events import Events
from launch.operations.launch import Launched, launch
from launch.operations.launch_options import LaunchOptions
from launch.operations.locked_models import wanted_weights
from launch.operations.measured_layout import asked_gpus
from launch.operations.plan_inputs import recipe_of
from launch.operations.prepare import prepare
from launch.operations.stopped_servers import NAME, STOP_SECONDS
from launch.planning.capacity import Machine
from launch.planning.selection import model_of
from launch.recipes.from_config import ConfigRecipe
from launch.spec.plan import AUTO_PORT, Plan
from launch.spec.plan_options import PlanOptions
from launch.weights.snapshot import require_complete

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from launch.bench.record import Record
    from launch.bench.run import Workload


@dataclass(frozen=True)
class Offer:
    """The layouts to measure, the recipe's default first. `gpus`: how many GPUs (on cpu: ranks) there are for them."""

    gpus: int
    layouts: tuple[
        tuple[Plan, int], ...
    ]  # with the number for --gpus: of a divided card, each part is a rank

    @property
    def trials(self) -> list[Trial]:
        """Return the layouts without any measurement."""
        return [Trial(plan.layout.name, plan.strategy, gpus) for plan, gpus in self.layouts]


def offer(options: PlanOptions) -> Offer:
    """Return the valid layouts that fit, the recipe's own first: of all GPUs, and of each smaller power of two.

    Without --gpus, GPUs in use are left out. Raises Refused if there is no layout, Failed if too few GPUs are free.
    """
    recipe, asked = recipe_of(options), asked_gpus(options)
    by_count, busy = dict[int, list[Candidate]](), list[Failed]()
    for count in _counts(asked):
        try:
            by_count[count] = list(layouts(options, Machine("", count), recipe))
        except Failed as error:
            busy.append(error)
            if options.gpus:
                break
    if not by_count:
        raise busy[0]
    found = [one for candidates in by_count.values() for one in candidates]
    fitting = {one.plan.layout.name: one for one in reversed(found) if one.plan and _fits(one.plan)}
    plans = tuple((one.plan, one.machine.gpus) for one in found if one.plan and one in fitting.values())
    if not plans:
        raise next((one.refused for one in found if one.refused), Refused("no layout of this model fits"))
    return Offer(max(by_count), plans[:MOST_LAYOUTS])


def prepared(client: DockerClient, options: PlanOptions, events: Events) -> Offer:
    """Return the layouts to measure, after the image was built or pulled.

    The first start would take much longer than the others, and the layout would be remembered for an image whose id
    is not known yet.
    """
    plan, _ = offer(options).layouts[0]
    prepare(client, plan, options, LaunchOptions(), events)
    return offer(options)


def _counts(asked: int) -> list[int]:
    return [asked, *(1 << power for power in reversed(range((asked - 1).bit_length())))]


def _fits(plan: Plan) -> bool:
    return plan.fit.result != "does not fit"


def check(options: PlanOptions) -> None:
    """Check what needs no free GPU: model, variant, number of GPUs, and the weights. Raises Refused or Failed."""
    recipe = recipe_of(options).recipe
    asked_gpus(options)
    if isinstance(recipe, ConfigRecipe) and recipe.folder:
        return
    model = model_of(options, recipe)
    weights = wanted_weights(model, options.revision, options.lock)
    require_complete(model, weights.revision, digest=weights.digest)


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
