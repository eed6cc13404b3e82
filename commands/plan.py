"""`invoke plan`: what would run, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.shared_options import OUTPUT
from commands.task import verb
from errors import Failed, Refused
from launch.plural import count
from launch.render import FORMATS, files, render
from launch.spec.option import Option
from launch.spec.plan_options import PlanOptions, tokens

if TYPE_CHECKING:
    from launch.operations.compare import Candidate
    from launch.spec.plan import Plan

CAPACITY = "Capacity"


@verb()
def plan(
    c: Context,
    options: PlanOptions,
    compare: Annotated[
        str,
        Option(
            "compare the layouts of several machines: h200x4,h200x8,mi300x8",
            metavar="MACHINES",
            group=CAPACITY,
            overrides=("hardware", "gpus", "platform"),
        ),
    ] = "",
    max_users: Annotated[
        int,
        Option(
            "use the fewest GPUs that hold this many requests at once, each with --context tokens",
            metavar="NUMBER",
            group=CAPACITY,
            minimum=1,
            maximum=10**9,
        ),
    ] = 0,
    context: Annotated[
        int,
        Option(
            "tokens of a request, prompt and answer together, e.g. 32768 or 32K",
            metavar="NUMBER",
            group=CAPACITY,
            parse=tokens,
        ),
    ] = 0,
    explain: Annotated[
        str,
        Option(
            "show only why the plan has this flag, variable or container setting",
            metavar="FLAG",
            group=OUTPUT,
        ),
    ] = "",
    format: Annotated[str, Option("output format", choices=FORMATS, group=OUTPUT)] = "text",
    monitoring: Annotated[
        bool,
        Option(
            "with --format compose or kubernetes: also watch the server with Prometheus and a Grafana dashboard",
            group=OUTPUT,
        ),
    ] = False,
    output: Annotated[
        str,
        Option("write the files of the format to this folder (default: stdout)", metavar="DIR", group=OUTPUT),
    ] = "",
) -> None:
    """Show what would run and why: image, command, container access, memory.

    Nothing is started.

    invoke plan --gpus 4
    invoke plan MiniMaxAI/MiniMax-M2.1 --hardware mi300x --gpus 8 --format compose
    invoke plan --compare h200x4,h200x8,mi300x8 --context 32768
    invoke plan --hardware h200 --max-users 64 --context 32768
    invoke plan --hardware h200 --gpus 4 --explain tensor-parallel-size
    """
    _check_together(compare, max_users, context, explain, format, output, monitoring)
    _check_machines(options, compare, context)
    if compare:
        _compare(options, compare, max_users, context, format)
        return
    made = _plan(options, max_users, context)
    if explain:
        _explain(made, explain, format)
    elif output:
        _write(files(made, format, monitoring), output)
    else:
        text = render(made, format, monitoring)
        show(text) if format == "text" else print(text)


def _check_together(
    compare: str, max_users: int, context: int, explain: str, format: str, output: str, monitoring: bool
) -> None:
    """Raise Refused for options that cannot be used together."""
    if max_users and not context:
        why = "how many users fit depends on the tokens of each"
        raise Refused("--max-users needs --context", why=why, fix=f"--max-users {max_users} --context 32768")
    if context and not (compare or max_users):
        raise Refused("--context needs --compare or --max-users", fix=f"--max-model-len {context}")
    one = "--compare" if compare else "--explain" if explain else ""
    given = {"--explain": bool(compare and explain), "--output": bool(output), "--monitoring": monitoring}
    other = next((option for option, is_given in given.items() if is_given), "")
    if one and other:
        raise Refused(f"{one} cannot be used with {other}", fix="invoke plan --help")
    if one and format not in ("text", "json"):
        raise Refused(f"{one} cannot be used with --format {format}", fix="--format json")


def _check_machines(options: PlanOptions, compare: str, context: int) -> None:
    """Raise Refused for another machine than those of --compare, and for a request longer than the context."""
    other = {"--hardware": options.hardware, "--gpus": options.gpus, "--nodes": options.nodes > 1}
    if compare and (option := next((name for name, is_given in other.items() if is_given), "")):
        why = "--compare names the machines"
        raise Refused(f"--compare cannot be used with {option}", why=why, fix='--compare "h200x4,h200x8x2"')
    if options.max_model_len and context > options.max_model_len:
        what = f"--context {context} is more than --max-model-len {options.max_model_len}"
        raise Refused(what, why="the server would refuse such a request", fix=f"--max-model-len {context}")


def _plan(options: PlanOptions, max_users: int, context: int) -> Plan:
    from launch.operations.plan_inputs import plan_of

    if not max_users:
        return plan_of(options)
    from launch.operations.compare import smallest_plan

    return smallest_plan(options, max_users, context)


def _compare(options: PlanOptions, machines: str, max_users: int, context: int, format: str) -> None:
    """Print a table of layouts; with --max-users, name the smallest that holds them. Raises Failed if none does."""
    from launch.operations import compare

    found = compare.compare(options, machines)
    context = context or compare.common_context(found)
    chosen = compare.smallest(found, max_users, context) if max_users else None
    rows = [_row(candidate, context, candidate is chosen) for candidate in found]
    if format == "json":
        emit({"context": context, "max_users": max_users or None, "layouts": rows})
    else:
        show(_table(rows, context))
        if chosen:
            say(
                f"smallest layout with {count(max_users, 'user')}: {chosen.machine.name}, {_layout_of(chosen)}"
            )
    if all(candidate.plan is None for candidate in found):
        raise next(candidate.refused for candidate in found if candidate.refused)
    if max_users and not chosen:
        what = f"none of these layouts holds {count(max_users, 'user')} with {context:,} tokens each"
        raise Failed(what, fix="compare with more GPUs, or a shorter --context")


def _layout_of(candidate: Candidate) -> str:
    return candidate.plan.layout.name if candidate.plan else ""


def _row(candidate: Candidate, context: int, smallest: bool) -> dict[str, Any]:
    """Return the values of one layout; None if they are not known."""
    from launch.planning.capacity import users

    plan, refused = candidate.plan, candidate.refused
    fit = plan.fit if plan else None
    return {
        "machine": candidate.machine.name,
        "strategy": candidate.strategy,
        "layout": _layout_of(candidate),
        "gpus": plan.layout.gpus if plan else None,
        "fit": fit.result if fit else "refused",
        "kv_tokens": fit.kv_tokens if fit else None,
        "longest_context": fit.max_model_len if fit else None,
        "users": users(plan, context) if plan else None,
        "smallest": smallest,
        "why": ": ".join(part for part in (refused.what, refused.why) if part) if refused else "",
    }


def _table(rows: list[dict[str, Any]], context: int) -> str:
    heads = (
        "MACHINE",
        "STRATEGY",
        "LAYOUT",
        "GPUS",
        "FIT",
        "KV TOKENS",
        "LONGEST CONTEXT",
    )
    keys = ("machine", "strategy", "layout", "gpus", "fit", "kv_tokens", "longest_context", "users")
    cells = [
        (*(_cell(row[key]) for key in keys), "smallest" if row["smallest"] else row["why"]) for row in rows
    ]
    return table((*heads, f"USERS AT {context:,}", ""), cells)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _explain(made: Plan, flag: str, format: str) -> None:
    from dataclasses import asdict

    from launch.planning import explain

    reasons = explain.explain(made, flag)
    if format == "json":
        emit([asdict(reason) for reason in reasons])
    else:
        show("\n".join(f"{reason.item}\n  {reason.why}  [{reason.source}]" for reason in reasons))


def _write(texts: Mapping[str, str], output: str) -> None:
    """Write files to a folder and print their paths. Raises Failed if one cannot be written."""
    from launch.atomic_write import write_texts

    folder = Path(output).expanduser()
    paths = {folder / name: f"{text.rstrip()}\n" for name, text in texts.items()}
    try:
        write_texts(paths)
    except OSError as error:
        raise Failed(f"cannot write to '{output}'", why=error.strerror or str(error)) from error
    for path in paths:
        print(path)
