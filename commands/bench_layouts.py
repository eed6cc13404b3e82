"""`invoke bench --layouts`: start the layouts of a model one after another, and name the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from commands.layouts_output import as_json, forecast, forecast_as_json, results
from commands.output import emit, say, show
from errors import Failed
from launch.spec.plan_options import PlanOptions

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from launch.bench.layouts.decision import Decision
    from launch.bench.layouts.options import LayoutsOptions
    from launch.bench.layouts.schedule import Search
    from launch.bench.run import Workload
    from launch.operations.bench_layouts import Offer
    from launch.operations.events import Events

BUDGET = "2h"


@dataclass(frozen=True)
class LayoutsBench:
    """One benchmark of layouts. `workload` describes the load for a server."""

    asked: LayoutsOptions
    workload: Callable[[Container | None], Workload]
    folder: Path
    budget: float  # seconds
    format: str

    @property
    def options(self) -> PlanOptions:
        """What is asked of each plan."""
        return PlanOptions(
            model=self.asked.model or PlanOptions.model,
            platform=self.asked.platform,
            gpus=self.asked.gpus,
            variant=self.asked.variant,
            settings=self.asked.settings,
        )

    @property
    def users(self) -> tuple[int, ...]:
        """The numbers of users to measure. Raises Refused for an unknown preset."""
        from launch.bench.layouts.trial import users_of
        from launch.bench.presets import load_of

        workload = self.workload(None)
        load = load_of(workload.preset, workload.argv)
        return users_of(load.concurrency or load.requests)  # without a limit, all are sent at once

    def dry_run(self) -> None:
        """Print what would be measured on the GPUs that are free now. Raises Refused or Failed."""
        from launch.operations.bench_layouts import offer

        users, offered = self.users, offer(self.options)
        if self.format == "json":
            emit(forecast_as_json(offered, users))
            return
        show(forecast(offered))
        show(f"users at once: {', '.join(map(str, users))}")

    def report(self, client: DockerClient) -> None:
        """Measure, print what was measured, also before a failure, and remember the layout. Raises Failed."""
        from commands.run_output import Steps, TerminalEvents
        from launch.operations.bench_layouts import check, prepared
        from launch.operations.stopped_servers import without_servers

        users = self.users  # refuses an unknown preset while the servers still run
        check(self.options)
        with without_servers(client, self.asked.stop_server, TerminalEvents()):
            events = Steps()
            offered = prepared(client, self.options, events)
            if self.format == "text":
                show(forecast(offered))
            search = self._search(client, offered, users, events)
            decision: Decision | None = None
            try:
                decision = search.run()
            finally:
                if any(trial.starts or trial.failed for trial in search.trials):
                    self._print(search, decision)
            if decision is None:
                why, fix = search.trials[0].failed, "invoke run shows the start of one"
                raise Failed("no layout could be measured", why=why, fix=fix)
            self._remember(offered, search, decision)

    def _search(self, client: DockerClient, offered: Offer, users: tuple[int, ...], events: Events) -> Search:
        from launch.bench.layouts.schedule import Search
        from launch.bench.layouts.trial import Goal
        from launch.bench.records import write
        from launch.bench.users import for_users
        from launch.operations.bench_layouts import LayoutBench

        bench = LayoutBench(
            client,
            self.options,
            lambda container, users: for_users(self.workload(container), users),
            self.folder,
            events,
            write,
        )
        return Search(
            offered.trials,
            Goal(self.asked.goal),
            users,
            bench.measure,
            self.budget,
            time.monotonic,
        )

    def _print(self, search: Search, decision: Decision | None) -> None:
        if self.format == "json":
            emit(as_json(search, decision))
            return
        show(results(search))
        if decision:
            show(f"\n{decision.result}: {decision.trial.layout} ({decision.trial.strategy}): {decision.why}")

    def _remember(self, offered: Offer, search: Search, decision: Decision) -> None:
        """Keep the layout for `invoke plan --prefer measured`, unless nothing was found out."""
        from launch.bench.layouts.best_layout import BestLayout, save
        from launch.bench.layouts.decision import Result
        from launch.operations.measured_layout import asked_gpus, subject_of

        if decision.result is Result.UNCLEAR:
            return
        trial = decision.trial
        subject = subject_of(offered.layouts[0][0], self.options, offered.gpus)
        runs, load = tuple(run for start in trial.starts for run in start.runs), self.workload(None)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        save(
            BestLayout(
                subject, load.name, str(search.goal), trial.strategy, trial.layout, trial.gpus,
                str(decision.result), decision.why, now, runs, load.scale,
            )
        )  # fmt: skip
        fewer = f" --gpus {offered.gpus}" if offered.gpus != asked_gpus(self.options) else ""
        say(f"remembered: invoke plan{fewer} --prefer measured")
