"""The plan for a person: what runs, whether it fits, why each item is there, and what was ruled out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launch.planning.parallelism import name
from launch.render.shell import lines, paired
from launch.spec.plan import Fit, Plan


def render(plan: Plan) -> str:
    """Plain text in columns."""
    return "\n".join(_sections(plan))


def _sections(plan: Plan) -> Iterator[str]:
    yield from _columns(_head(plan))
    for process in plan.processes:
        yield f"\n{process.role}"
        yield f"  {lines(paired(process.argv))}"
    yield "\nwhy"
    yield from _columns((reason.item, f"{reason.why}  [{reason.source}]") for reason in plan.reasons)
    if plan.rejected:
        yield "\nruled out"
        yield from _columns((rejected.layout, rejected.reason) for rejected in plan.rejected)
    if plan.notes:
        yield "\nnotes"
        yield from (f"  - {note}" for note in plan.notes)


def _head(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "model", plan.model
    yield "image", f"{plan.image} (vLLM {plan.vllm_version}, {plan.platform})"
    yield (
        "layout",
        f"{name(plan.layout)} on {_gpus(plan)}, {plan.layout.nodes} node(s): {plan.strategy}",
    )
    yield "memory", _fit(plan.fit)
    yield "access", plan.container.profile


def _gpus(plan: Plan) -> str:
    return f"{plan.layout.gpus} {'rank(s)' if plan.platform == 'cpu' else 'GPU(s)'}"


def _fit(fit: Fit) -> str:
    if fit.kv_tokens is None:
        return f"{fit.verdict}: {fit.detail}"
    tokens = f"{fit.kv_tokens:,} KV tokens, {fit.kv_tokens_per_replica:,} a replica"
    return f"{fit.verdict}: {tokens}; longest context {fit.max_model_len:,}; {fit.detail}"


def _columns(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Two columns; an item too long for the first has its text on the next line."""
    held = list(rows)
    width = min(44, max((len(left) for left, _ in held), default=0))
    for left, right in held:
        yield f"  {left:<{width}}  {right}" if len(left) <= width else f"  {left}\n  {'':<{width}}  {right}"
