"""`invoke run`: plan, image, weights, container, and eyes on it until it generates."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from commands import plan as planning
from commands.output import bar, say
from commands.run_output import event, failed, report
from commands.task import one_of, verb, whole_number
from errors import Refused, SlipwayError
from launch.engine.limits import RESTARTS, Limits
from launch.operations.prepare import ensure_both

if TYPE_CHECKING:
    from launch.serving.readiness import Died, Progress, Ready
    from launch.spec.plan import Plan

MODES = ("auto", "ask", "no")


@dataclass(frozen=True)
class How:
    """How to run, beside what to run."""

    anew: bool
    wait: bool
    fetch: bool
    patience: float
    json: bool
    workaround: str
    limits: Limits


def with_plan_options(body: Callable[..., None]) -> Callable[..., None]:
    """Give `body(c, ..., **options)` every option of `invoke plan` beside its own."""
    own = inspect.signature(body)
    mine = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    given = inspect.signature(planning.plan.body).parameters.values()
    theirs = [p for p in given if p.name not in own.parameters]
    body.__signature__ = own.replace(parameters=[*mine, *theirs])  # type: ignore[attr-defined]
    return body


@verb(
    help={
        **planning.HELP,
        "replace": "stop what runs under that name first",
        "wait": "yes, or no to return at once",
        "workaround": "options against a known symptom, by name; or auto, ask, no: what to do when a start fails",
        "fetch": "fetch the weights first where they are missing",
        "memory": "end the server when it takes more, e.g. 64g",
        "pids": "most processes and threads",
        "restart": "no, on-failure, unless-stopped or always",
        "patience": "seconds of silence after which a start has failed (default: each phase has its own)",
        "dry-run": "print the command instead of running it",
        "format": "text, or json: one event a line, the last one says what serves or what failed",
    },
    iterable=["feature", "no_feature", "workaround", "set_", "env"],
)
@with_plan_options
def run(
    c: Any,
    replace: bool = False,
    wait: str = "yes",
    fetch: bool = False,
    patience: str = "0",
    memory: str = "",
    pids: str = "0",
    restart: str = "no",
    dry_run: bool = False,
    format: str = "text",
    **options: Any,
) -> None:
    """Plan, start the container, wait until it serves, and prove it with one generation.

    invoke run --gpus 8
    invoke run --platform cpu --model slipway/MiniMax-M2-tiny
    """
    one_of("format", format, ("text", "json"))
    one_of("--wait value", wait, ("yes", "no"))
    limits = Limits(
        _size(memory), whole_number("--pids", pids), one_of("--restart policy", restart, RESTARTS)
    )
    named, mode = _workarounds(options.pop("workaround", None) or [])
    seconds = whole_number("--patience", patience)
    how = How(replace, wait == "yes", fetch, seconds, format == "json", mode, limits)
    options["workaround"] = named
    if dry_run or c.config.run.dry:
        _show_command(_planned(c, options, how), limits)
        return
    try:
        serve(c, options, how)
    except SlipwayError as error:
        if how.json:
            failed(error)
        raise


def _show_command(wanted: Plan, limits: Limits) -> None:
    """The `docker run` that would be run, under the same name and limits."""
    from launch.engine.containers import name_of
    from launch.render import docker

    named = () if wanted.container.name else (f"--name={name_of(wanted)}",)
    print(docker.render(wanted, (*named, *limits.flags())))
    for path in wanted.container.env_files:
        say(f"note: the API key in {path} is made by the first `invoke run`, and then kept")


def _size(memory: str) -> str:
    """An amount of memory as the engine understands it."""
    if memory and not re.fullmatch(r"[1-9][0-9]*[bkmgBKMG]?", memory):
        raise Refused(f"--memory {memory}: an amount is wanted", fix="--memory 64g")
    return memory


def _workarounds(words: list[str]) -> tuple[list[str], str]:
    """The cures that the user names, and what to do when a start fails: ask on a terminal, else nothing."""
    modes = [word for word in words if word in MODES]
    usual = "ask" if sys.stdin.isatty() and sys.stderr.isatty() else "report"
    return [word for word in words if word not in MODES], modes[-1] if modes else usual


def serve(c: Any, options: dict[str, Any], how: How) -> None:
    """Start what the options describe; where it dies of something curable, once more with the cure."""
    from launch.allocation.reservation import GpusTaken
    from launch.engine import client as engine_client
    from launch.engine.containers import runs
    from launch.operations import saved_fixes
    from launch.serving.readiness import Died

    client = engine_client.connect()
    wanted = _planned(c, options, how)
    if how.anew or not runs(client, wanted):
        ensure_both(client, wanted, how.fetch)
    try:
        _start(client, wanted, how)
    except GpusTaken as taken:  # by another launch, meanwhile: once more, on others
        say(str(taken))
        _start(client, _planned(c, options, how), how)
    except Died as failure:
        better = _cured(wanted, failure, how)
        if better is None:
            raise
        _start(client, better, replace(how, anew=True))
        saved_fixes.keep(wanted, failure.diagnosis)


def _planned(c: Any, options: dict[str, Any], how: How) -> Plan:
    """The plan of these options, with the cures that helped here before."""
    from launch.operations import saved_fixes

    plain = planning.planned(c, **options)
    wanted = plain if how.workaround == "no" else saved_fixes.with_kept(plain)
    for note in wanted.notes[len(plain.notes) :]:
        say(f"{note}  (--workaround no leaves it out)")
    if len(wanted.processes) > 1:
        form = "--format kubernetes, or --format docker for each node"
        raise Refused(f"{len(wanted.processes)} nodes: this machine is one", fix=f"invoke plan {form}")
    return wanted


def _cured(wanted: Plan, failure: Died, how: How) -> Plan | None:
    """The plan with the cure in it; None where there is none, it is not safe, or nobody wants it."""
    from launch.diagnosis.apply_fix import fixed

    found = failure.diagnosis
    if not (found.change and found.safe) or how.workaround not in ("ask", "auto"):
        return None
    try:
        better = fixed(wanted, found)
    except Refused:
        return None
    if better == wanted:
        return None
    say(f"{failure}\ncure: {better.notes[-1]}")
    return better if how.workaround == "auto" or _agreed() else None


def _agreed() -> bool:
    """The user's word, asked for on stderr: stdout is for data."""
    print("try it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "y"


def _start(client: Any, wanted: Plan, how: How) -> None:
    from launch.allocation.reservation import reserved
    from launch.engine import containers
    from launch.operations import host_facts

    with reserved(client, wanted.container, containers.name_of(wanted)):  # two at once share no name, no GPU
        _ensure_key(wanted)
        container, fresh = containers.start(client, wanted, how.limits, replace=how.anew)
    say(f"{container.name}: {'started' if fresh else 'already running'} ({wanted.digest})")
    ready = _watched(container, how, fresh, wanted.budgets) if how.wait else None
    if ready and ready.kv_tokens and fresh:
        host_facts.learn(wanted, ready.kv_tokens)
    report(container, wanted, ready, how.json)


def _ensure_key(wanted: Plan) -> None:
    """An open port asks for a key: made at the first need, shown that once, kept for its owner."""
    from pathlib import Path

    from launch.serving import api_key

    for path in map(Path, wanted.container.env_files):
        if api_key.ensure(path):
            say(f"API key (shown this once, kept in {path}): {api_key.read(path)}")


def _watched(container: Any, how: How, fresh: bool, budgets: tuple[tuple[str, int], ...]) -> Ready:
    from launch.serving.starting import phase_note, watched

    with bar(f"start {container.name}") as progress:

        def show(seen: Progress) -> None:
            progress.update(seen.index, len(seen.phases), phase_note(seen))
            if how.json:
                event("phase", phase=seen.phase.phase, percent=seen.percent)

        try:
            return watched(container, show, how.patience, fresh, budgets)
        except KeyboardInterrupt:
            name = container.name
            say(
                f"\n{name} goes on starting: `invoke logs --follow` shows how far it is, `invoke stop` ends it"
            )
            raise
