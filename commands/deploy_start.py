"""What `invoke deploy` shows while a server starts on a cluster, and what it asks a server that runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from commands.output import bar, emit, say, show
from launch.spec.control_characters import one_line

if TYPE_CHECKING:
    from launch.deploy.apply import Change
    from launch.deploy.client import Cluster
    from launch.deploy.start import PodStart
    from launch.deploy.status import Status
    from launch.operations.deploy import Deployment
    from launch.serving.openai_client import Delta


@dataclass(frozen=True)
class How:
    """Options of the command that do not change the objects."""

    dry_run: bool
    wait: str
    timeout: int
    format: str


def apply(prepared: Deployment, changes: Iterable[Change], how: How) -> None:
    """Show the changes as they happen, and follow the start. JSON is one list, also of a start that failed."""
    rows: list[dict[str, Any]] = []
    try:
        for change in changes:
            rows.append(asdict(change))
            if how.format == "text":
                show_change(change, how.dry_run)
        for warning in prepared.cluster.warnings:
            say(f"warning of the cluster: {warning}")
        if how.wait != "no" and not how.dry_run:
            rows.append(follow(prepared, how.wait, how.timeout))
    finally:
        if how.format == "json":
            emit(rows)


def show_changes(changes: Iterable[Change], dry_run: bool, format: str) -> None:
    """Print what happened to each object."""
    rows: list[dict[str, Any]] = []
    try:
        for change in changes:
            rows.append(asdict(change))
            if format == "text":
                show_change(change, dry_run)
    finally:
        if format == "json":
            emit(rows)


def show_change(change: Change, dry_run: bool) -> None:
    """Print what happened to one object."""
    show(f"{change.kind} {change.name} {change.action}{' (dry run)' if dry_run else ''}")


def follow(prepared: Deployment, wait: str, timeout: int) -> dict[str, Any]:
    """Wait until the server is ready, ask it a question, and return the times of its start."""
    from launch.deploy.start import FIRST_ANSWER
    from launch.deploy.start_reader import StartReader

    reader = StartReader(prepared.cluster, prepared.name)
    with bar(f"start {prepared.name}") as progress:

        def on_status(status: Status) -> None:
            start = reader.read()
            done, total = (start.index, len(start.names)) if start else (0, None)
            progress.update(done, total, summary(status, start))

        ready = prepared.wait(on_status, timeout)
    start = reader.read()
    seconds, answer = dict(start.seconds) if start else {}, ""
    if wait == "answer":
        before = time.monotonic()
        answer = one_line(prepared.answer())
        seconds[FIRST_ANSWER] = round(time.monotonic() - before, 2)
    if seconds:
        say(f"  {times(seconds)}")
    if answer:
        say(f"answer through {prepared.way}: {answer[:60]!r}")
    say(f"{prepared.plan.model} serves at {ready.address}/v1 inside the cluster")
    facts = {"address": f"{ready.address}/v1", "replicas": ready.ready, "seconds": seconds, "answer": answer}
    return {"kind": "Server", "name": prepared.name, "action": "ready", **facts}


def times(seconds: dict[str, float]) -> str:
    """Return the phases of a start on one line."""
    return ", ".join(f"{phase} {value:.1f} s" for phase, value in seconds.items())


def summary(status: Status, start: PodStart | None) -> str:
    """Return the phase of the pod that is furthest behind, the replicas, and the first cause if pods do not run."""
    words = [start.note] if start and start.note and not status.complete else []
    if status.desired > 1 or not words:
        words.append(f"{status.ready} of {status.desired} ready")
    return "; ".join([*words, *(cause.cause for cause in status.causes[:1])])


def show_answer_or_logs(cluster: Cluster, name: str, question: str) -> None:
    """Print the answer to a question, else the logs of all pods."""
    from launch.deploy import server

    if question:
        _print(server.ask(cluster, name, question))
        return
    for pod, text in server.logs(cluster, name):
        say(f"{pod}:")
        print(text, end="")


def _print(deltas: Iterable[Delta]) -> None:
    """Print an answer on stdout as it comes, and the model's reasoning on stderr."""
    for delta in deltas:
        print(delta.text, end="", flush=True, file=sys.stderr if delta.kind == "reasoning" else sys.stdout)
    print()


def facts(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """Return the start of the pod that is furthest behind as JSON values."""
    from launch.deploy.start_reader import StartReader

    start = StartReader(cluster, name).read()
    return {"pod": start.name, "phase": start.note, "seconds": start.seconds} if start else None


def show_start(cluster: Cluster, name: str) -> None:
    """Print the phases of the start of the pod that is furthest behind."""
    from launch.deploy.start_reader import StartReader

    if start := StartReader(cluster, name).read():
        running = "" if start.ready_at else f"; now: {start.note}"
        show(f"start of {start.name}: {times(start.seconds)}{running}")
