"""Compare the layouts of several machines, and find the smallest one that holds a number of users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from errors import Refused
from launch.operations.find_recipe import FoundRecipe
from launch.operations.plan_inputs import plan_of, recipe_of
from launch.planning import capacity
from launch.planning.capacity import Machine, users
from launch.planning.validation import MAX_RANKS
from launch.plural import count as number
from launch.recipes.strategy import offered
from launch.spec.gpu_catalog import find
from launch.spec.plan import Layout, Plan
from launch.spec.plan_options import PlanOptions

COMMON_CONTEXT = 32_768
MAX_COUNT = 64  # GPUs of a node; a larger number is not searched one by one


@dataclass(frozen=True)
class Candidate:
    """One layout of a machine: its plan, or why there is none."""

    machine: Machine
    strategy: str
    plan: Plan | None = None
    refused: Refused | None = None

    def holds(self, wanted: int, context: int) -> bool:
        """Return whether the layout fits, with at least this many users."""
        plan = self.plan
        return plan is not None and plan.fit.result == "fits" and (users(plan, context) or 0) >= wanted


def compare(options: PlanOptions, machines: str) -> tuple[Candidate, ...]:
    """Return the layouts of each machine, one for each strategy of the recipe.

    Raises Refused for an unknown model and for an unknown machine.
    """
    recipe = recipe_of(options)
    named = capacity.machines(machines, recipe.repository.hardware)
    return tuple(found for machine in named for found in layouts(options, machine, recipe))


def common_context(candidates: tuple[Candidate, ...]) -> int:
    """Return a context that most uses need, or the longest one of these layouts if it is shorter."""
    longest = max((found.plan.fit.max_model_len or 0 for found in candidates if found.plan), default=0)
    return min(COMMON_CONTEXT, longest or COMMON_CONTEXT)


def smallest(candidates: tuple[Candidate, ...], wanted: int, context: int) -> Candidate | None:
    """Return the layout with the fewest GPUs that holds the users; of equal ones the recipe's first choice."""
    holding = [found for found in candidates if found.holds(wanted, context)]
    return min(holding, key=_size, default=None)


def smallest_plan(options: PlanOptions, wanted: int, context: int) -> Plan:
    """Return the plan with the fewest GPUs that holds the users. Raises Refused with the most that a layout holds."""
    recipe = recipe_of(options)
    most = _most_gpus(options, recipe)
    tried: list[Candidate] = []
    before = ""
    for count in range(1, most + 1) if most <= MAX_COUNT else (most,):
        these = tuple(layouts(options, Machine(options.hardware, count, options.nodes), recipe))
        tried += these
        found = smallest(tuple(tried), wanted, context)
        if found and found.plan:
            return found.plan
        refusal = str(these[0].refused) if len(these) == 1 and these[0].refused else ""
        if refusal and refusal == before:
            break  # it does not depend on the number of GPUs
        before = refusal
    raise _none_holds(tried, wanted, context, most * options.nodes)


def _most_gpus(options: PlanOptions, recipe: FoundRecipe) -> int:
    """Return the GPUs of a node: as the user limits them, of the usual machine, or of this host."""
    if options.gpus:
        if options.gpus.isascii() and options.gpus.isdigit():
            return min(int(options.gpus[:6]), MAX_RANKS) or 1
        what = (
            f"--max-users chooses the number of GPUs, so --gpus must be a number (got '{options.gpus[:80]}')"
        )
        raise Refused(what, fix="--gpus 8")
    named = options.hardware or ("cpu" if options.platform == "cpu" else "")
    if named:
        profile = find(recipe.repository.hardware, named)
        return (profile.per_node if profile else 0) or 1
    from launch.operations.measured_layout import cards

    return cards(options.platform) or 1


def layouts(options: PlanOptions, machine: Machine, recipe: FoundRecipe) -> Iterator[Candidate]:
    """Yield the recipe's own choice, then its other strategies for as many nodes whose layout is another one."""
    prefix = "multi_node_" if machine.nodes > 1 else "single_node_"
    names = (
        [""]
        if options.strategy
        else ["", *(name for name in offered(recipe.recipe) if name.startswith(prefix))]
    )
    seen: list[tuple[Layout, str] | str] = []
    for name in names:
        found = _candidate(options, machine, name, recipe)
        identity = (found.plan.layout, found.plan.strategy) if found.plan else str(found.refused)
        if identity not in seen:
            seen.append(identity)
            yield found


def _candidate(options: PlanOptions, machine: Machine, strategy: str, recipe: FoundRecipe) -> Candidate:
    gpus = str(machine.gpus) if machine.gpus else ""
    wanted = replace(
        options,
        hardware=machine.hardware,
        gpus=gpus,
        nodes=machine.nodes,
        strategy=strategy or options.strategy,
    )
    try:
        plan = plan_of(wanted, found=recipe)
    except Refused as refused:
        return Candidate(machine, strategy, refused=refused)
    return Candidate(machine, plan.strategy, plan)


def _size(candidate: Candidate) -> int:
    return candidate.plan.layout.gpus if candidate.plan else 0


def _none_holds(tried: list[Candidate], wanted: int, context: int, most: int) -> Refused:
    """Return the refusal: with the most users of a layout, or with the reason why there is none."""
    known = [(users(found.plan, context) or 0, found.plan) for found in tried if found.plan]
    if not known:
        return next(found.refused for found in tried if found.refused)
    count, plan = max(known, key=lambda pair: (pair[0], pair[1].fit.max_model_len or 0))
    longest = plan.fit.max_model_len or 0
    what = f"no layout of up to {number(most, 'GPU')} holds {number(wanted, 'user')} with {context:,} tokens each"
    why = f"{plan.layout.name} holds {count:,}; its longest context is {longest:,} tokens"
    fix = (
        f"--context {longest}"
        if 0 < longest < context
        else "more nodes (--nodes), fewer users, or a shorter context"
    )
    return Refused(what, why=why, fix=fix)
