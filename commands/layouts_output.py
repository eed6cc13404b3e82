"""What `invoke bench --layouts` prints: the layouts before they are measured, and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands.output import table

if TYPE_CHECKING:
    from launch.bench.layouts.decision import Decision
    from launch.bench.layouts.schedule import Search
    from launch.operations.bench_layouts import Offer


def forecast(offered: Offer) -> str:
    """Return the layouts that would be measured."""
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


def results(search: Search) -> str:
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


def forecast_as_json(offered: Offer, users: tuple[int, ...]) -> dict[str, Any]:
    """Return the values of a dry run with `--format json`."""
    layouts = [
        {
            "layout": plan.layout.name,
            "strategy": plan.strategy,
            "gpus": gpus,
            "kv_tokens": plan.fit.kv_tokens,
        }
        for plan, gpus in offered.layouts
    ]
    return {"users": users, "layouts": layouts}


def as_json(search: Search, decision: Decision | None) -> dict[str, Any]:
    """Return the values of `--format json`."""
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
