"""`invoke bench --layouts`: start the layouts of a model one after another, and name the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.output import emit, say, show, table
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

    client: DockerClient
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

    def report(self) -> None:
        """Measure, print what was measured, also before a failure, and remember the layout. Raises Failed."""
        from commands.run_output import Steps, TerminalEvents
        from launch.operations.bench_layouts import check, prepared
        from launch.operations.stopped_servers import without_servers

        self.workload(None)  # refuses an unknown preset while the servers still run
        check(self.options)
        with without_servers(self.client, self.asked.stop_server, TerminalEvents()):
            events = Steps()
            offered = prepared(self.client, self.options, events)
            if self.format == "text":
                show(_forecast(offered))
            search = self._search(offered, events)
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

    def _search(self, offered: Offer, events: Events) -> Search:
        from launch.bench.layouts.schedule import Search
        from launch.bench.layouts.trial import Goal, users_of
        from launch.bench.presets import load_of
        from launch.bench.records import write
        from launch.bench.users import for_users
        from launch.operations.bench_layouts import LayoutBench

        load = self.workload(None)
        bench = LayoutBench(
            self.client,
            self.options,
            lambda container, users: for_users(self.workload(container), users),
            self.folder,
            events,
            write,
        )
        return Search(
            offered.trials,
            Goal(self.asked.goal),
            users_of(load_of(load.preset, load.argv).concurrency),
            bench.measure,
            self.budget,
            time.monotonic,
        )

    def _print(self, search: Search, decision: Decision | None) -> None:
        if self.format == "json":
            emit(_json(search, decision))
            return
        show(_results(search))
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


def _forecast(offered: Offer) -> str:
    rows = [
        (
            plan.layout.name,
            plan.strategy,
            str(gpus),
            f"{plan.fit.kv_tokens or 0:,}" if plan.fit.kv_tokens else "",
        )
        for plan, gpus in offered.layouts
    ]
    return table(("LAYOUT", "STRATEGY", "GPUS", "KV TOKENS (FORECAST)"), rows)


def _results(search: Search) -> str:
    """Return the layouts with their rates, as the mean over their starts."""
    heads = ("LAYOUT", "GPUS", "STARTS", *(f"TOK/S AT {users}" for users in search.users), "FAILURE")
    rows = [
        (
            trial.layout,
            str(trial.gpus),
            str(len(trial.starts)),
            *(f"{rate:.0f}" if (rate := trial.rate(users)) else "" for users in search.users),
            trial.failed[:120],
        )
        for trial in search.trials
    ]
    return table(heads, rows)


def _json(search: Search, decision: Decision | None) -> dict[str, Any]:
    return {
        "goal": str(search.goal),
        "users": list(search.users),
        "layouts": [
            {
                "layout": trial.layout,
                "strategy": trial.strategy,
                "gpus": trial.gpus,
                "failed": trial.failed,
                "starts": [
                    {
                        "tokens_per_second": {str(n): rate for n, rate in start.rates.items()},
                        "runs": start.runs,
                    }
                    for start in trial.starts
                ],
            }
            for trial in search.trials
        ],
        "decision": {
            "layout": decision.trial.layout,
            "strategy": decision.trial.strategy,
            "result": str(decision.result),
            "why": decision.why,
        }
        if decision
        else None,
    }
