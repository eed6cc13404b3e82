"""Plan with the layout that was measured to be the fastest (`invoke bench --layouts`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from errors import Refused
from launch.bench.layouts.best_layout import BestLayout, Subject, find
from launch.bench.layouts.trial import Goal
from launch.spec.plan import Plan, Reason
from launch.spec.plan_options import PlanOptions

PlanOf = Callable[[PlanOptions], Plan]


def preferred(options: PlanOptions, plan_of: PlanOf) -> Plan:
    """Return the plan with the measured layout. Raises Refused if there is none for these weights and this image."""
    if options.strategy:
        why = "the measured layout has a strategy of its own"
        raise Refused(
            "--prefer cannot be used with --strategy", why=why, fix=f"--strategy {options.strategy}"
        )
    default = plan_of(replace(options, prefer=""))
    own = not options.hardware or options.gpus
    best = measured_of(default, options, asked_gpus(options) if own else default.layout.gpus)
    plan = plan_of(options_for(best, options))
    if plan.layout.name != best.layout:
        why = (
            "its strategy gives another layout by now, for example because the cards are divided differently"
        )
        what = f"{best.layout} was measured, and the plan would have {plan.layout.name}"
        raise Refused(what, why=why, fix="invoke bench --layouts, or plan without --prefer")
    return with_reason(plan, best)


def asked_gpus(options: PlanOptions) -> int:
    """Return the number of GPUs (cards; on cpu: ranks) that a user offers. Raises Refused for a list."""
    if options.gpus:
        if not (options.gpus.isascii() and options.gpus.isdecimal() and int(options.gpus[:6]) > 0):
            what = f"layouts are compared for a number of GPUs (got --gpus '{options.gpus[:60]}')"
            raise Refused(what, fix="--gpus 8")
        return int(options.gpus[:6])
    if options.platform == "cpu":
        return 1
    return cards(options.platform) or 1


def cards(platform: str) -> int:
    """Return how many GPUs of one kind this host has, free or not. Raises Refused if they are of both vendors."""
    from launch.allocation.choose_gpus import most_of_one_kind
    from launch.hardware.detect import detect, platform_of

    hardware = detect()
    return most_of_one_kind(hardware.for_platform(platform_of(hardware, platform)).gpus)


def subject_of(plan: Plan, options: PlanOptions, gpus: int) -> Subject:
    """Return what a measured layout of this plan holds for. `gpus` is the number that the user offers."""
    source = plan.image_source
    image = source.digest or source.id or plan.image
    commit, settings = plan.commit or plan.revision, _settings(options)
    return Subject(plan.model, commit, options.variant, plan.hardware, gpus, image, settings)


def _settings(options: PlanOptions) -> tuple[str, ...]:
    return tuple(sorted(f"{flag}={value}" for flag, value in options.settings))


def measured_of(plan: Plan, options: PlanOptions, gpus: int) -> BestLayout:
    """Return the measured layout for the plan that would be made without it. Raises Refused if there is none."""
    goal = Goal(name) if (name := options.prefer.partition(":")[2]) else None
    best = find(subject_of(plan, options, gpus), goal)
    if best is None:
        settings = "".join(f" --set {one}" for one in _settings(options))
        what = f"no layout of {plan.model} was measured for these weights, this image and {gpus} x {plan.hardware}"
        what += f" with{settings}" if settings else ""
        fix = "invoke bench --layouts" + (f" --goal {goal}" if goal else "") + settings
        raise Refused(
            what, why="--prefer measured needs such a benchmark", fix=f"{fix}, or plan without --prefer"
        )
    return best


def options_for(best: BestLayout, options: PlanOptions) -> PlanOptions:
    """Return the options of the plan with the measured layout."""
    return replace(options, prefer="", strategy=best.strategy, gpus=str(best.gpus))


def with_reason(plan: Plan, best: BestLayout) -> Plan:
    """Return a plan that says what its layout rests on."""
    scale = f" at scale {best.scale:g}" if best.scale != 1 else ""
    why = f"measured on {best.time[:10]} for {best.goal} with the preset {best.preset}{scale}: {best.why}"
    source = f"runs {', '.join(best.runs)}" if best.runs else "invoke bench --layouts"
    return replace(plan, reasons=(Reason("layout", why, source), *plan.reasons))
