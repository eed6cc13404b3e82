"""Print the plan as text: what runs, whether it fits, the reason for each item, and the rejected layouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launch.plural import count
from launch.render.shell import lines, paired
from launch.spec.plan import Fit, Plan


def render(plan: Plan) -> str:
    """Return plain text in columns."""
    return "\n".join(_sections(plan))


def _sections(plan: Plan) -> Iterator[str]:
    yield from _columns(_head(plan))
    for process in plan.processes:
        yield f"\n{process.role}"
        yield f"  {lines(paired(process.argv))}"
    yield "\nwhy"
    yield from _columns((reason.item, f"{reason.why}  [{reason.source}]") for reason in plan.reasons)
    if plan.rejected:
        yield "\nrejected layouts"
        yield from _columns((rejected.layout, rejected.reason) for rejected in plan.rejected)
    if plan.notes:
        yield "\nnotes"
        yield from (f"  - {note}" for note in plan.notes)


def _head(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "model", f"{plan.model} at {plan.commit}" if plan.commit else plan.model
    yield from _image(plan)
    yield (
        "layout",
        f"{plan.layout.name} on {_gpus(plan)}, {count(plan.layout.nodes, 'node')}: {plan.strategy}",
    )
    yield "memory", _fit(plan.fit)
    yield "access", plan.container.profile


def _image(plan: Plan) -> Iterator[tuple[str, str]]:
    source = plan.image_source
    commit = f"commit {source.vllm_commit[:12]}" if source.vllm_commit else ""
    channel = f"channel {source.channel}" if source.channel else ""
    about = ", ".join(part for part in (f"vLLM {plan.vllm_version}", commit, plan.platform, channel) if part)
    yield "image", f"{source.name or plan.image} ({about})"
    if source.name and source.name != plan.image:
        where = source.origin if source.origin != "named" else ""
        yield "", f"{plan.image}{f' ({where})' if where else ''}"
    if source.base:
        yield "", f"base: {source.base}"


def _gpus(plan: Plan) -> str:
    return count(plan.layout.gpus, "rank" if plan.platform == "cpu" else "GPU")


def _fit(fit: Fit) -> str:
    if fit.kv_tokens is None:
        return f"{fit.result}: {fit.detail}"
    tokens = f"{fit.kv_tokens:,} KV tokens, {fit.kv_tokens_per_replica:,} for each replica"
    result = "tight, may be refused" if fit.result == "tight" else fit.result
    return f"{result}: {tokens}; longest context {fit.max_model_len:,}; {fit.detail}"


def _columns(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Return two columns. If an item is too long for the first, its text is on the next line."""
    rows = list(rows)
    width = min(44, max((len(left) for left, _ in rows), default=0))
    for left, right in rows:
        yield f"  {left:<{width}}  {right}" if len(left) <= width else f"  {left}\n  {'':<{width}}  {right}"
