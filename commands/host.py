"""`invoke doctor` and `invoke gpus`: check this host, and list its GPUs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from commands.output import emit, say, show, table
from commands.shared_options import DryRun, Format
from commands.task import verb
from errors import Failed, SlipwayError
from launch.plural import count
from launch.spec.option import Option
from launch.spec.plan_options import PLATFORMS, port_number

if TYPE_CHECKING:
    from launch.allocation.holders import Holder
    from launch.doctor.facts import Facts
    from launch.doctor.finding import Finding
    from launch.hardware.types import Gpu


@verb()
def doctor(
    c: Context,
    platform: Annotated[
        str,
        Option("platform to check (default: that of the GPUs of this host)", choices=PLATFORMS, setting=True),
    ] = "",
    model: Annotated[
        str, Option("also check access to this model and the space for it", metavar="MODEL")
    ] = "",
    port: Annotated[
        int,
        Option(
            "host port that the server will use; auto: the first free port from 8000 on",
            metavar="PORT",
            setting=True,
            short="p",
            parse=port_number,
        ),
    ] = 8000,
    fix: Annotated[bool, Option("apply the safe fixes: create folders, restrict file modes")] = False,
    dry_run: DryRun = False,
    format: Format = "text",
) -> None:
    """Check this host and list what to fix.

    The exit code is 1 if a launch would fail.

    invoke doctor
    invoke doctor --platform rocm --model MiniMaxAI/MiniMax-M2 --format json
    """
    from launch.doctor.auto_fix import apply_auto_fixes
    from launch.doctor.gather import gather
    from launch.doctor.report import run_checks

    facts = gather(platform, model, port)
    findings = run_checks(facts)
    fixed: list[str] = []
    if fix and not dry_run and (fixed := apply_auto_fixes(facts, findings)):
        facts = gather(platform, model, port)
        findings = run_checks(facts)
    _report(facts, findings, fixed, format)


def _report(facts: Facts, findings: tuple[Finding, ...], fixed: list[str], format: str) -> None:
    from launch.doctor.report import count_by_severity, format_findings

    counts = count_by_severity(findings)
    if format == "json":
        rows = [asdict(finding) for finding in findings]
        emit({"platform": facts.platform, "counts": counts, "fixed": fixed, "findings": rows})
    else:
        show("\n".join((*fixed, *format_findings(findings))))
        totals = ", ".join(_total(number, level) for level, number in counts.items() if number)
        say(f"{facts.platform}: {totals}")
    if counts["error"]:
        what = f"{count(counts['error'], 'finding')} would stop a launch on {facts.platform}"
        raise Failed(what, fix="run the commands after `next:` above, then `invoke doctor` again")


def _total(number: int, severity: str) -> str:
    return count(number, severity) if severity in ("warning", "error") else f"{number} {severity}"


@verb()
def gpus(c: Context, format: Format = "text") -> None:
    """List the GPUs of this host with memory, links, partitions and users."""
    from launch.hardware.detect import detect

    hardware = detect()
    containers = _containers() if hardware.gpus else ()
    if format == "json":
        used = {h.name: [g.index for g in hardware.gpus if h.gpus.includes(g)] for h in containers}
        emit({**asdict(hardware), "containers": used})
        return
    if hardware.gpus:
        show(table(HEADERS, [_row(gpu, containers) for gpu in hardware.gpus]))
    for problem in (*hardware.nvidia.problems, *hardware.amd.problems):
        say(f"problem: {problem}")
    if not hardware.gpus:
        say("No driver reports a GPU. `invoke doctor` shows details.")


def _containers() -> tuple[Holder, ...]:
    """Return the running containers that have GPUs; none if no engine answers."""
    from launch.allocation.holders import holders
    from launch.engine.client import connect

    try:
        return holders(connect(timeout=5))
    except SlipwayError:
        return ()


HEADERS = (
    "GPU",
    "NAME",
    "HARDWARE",
    "MEMORY",
    "USED",
    "PCI",
    "NUMA",
    "LINKS",
    "PARTITION",
    "USED BY",
    "PROBLEM",
)


def _row(gpu: Gpu, containers: tuple[Holder, ...]) -> tuple[object, ...]:
    users = [f"container {holder.name}" for holder in containers if holder.gpus.includes(gpu)]
    users += [f"{process.name or 'process'} {process.pid}" for process in gpu.processes]
    return (
        gpu.index,
        gpu.name,
        gpu.hardware or f"{gpu.arch} (not listed)",
        f"{gpu.memory / 2**30:.0f} GiB" if gpu.memory else "unknown",
        f"{gpu.used / 2**30:.1f} GiB" if gpu.used is not None else "",
        gpu.pci,
        gpu.numa if gpu.numa is not None else "",
        ",".join(map(str, gpu.links)),
        f"{gpu.partition} x{gpu.ranks}" if gpu.ranks > 1 else gpu.partition,
        ", ".join(users),
        gpu.problem,
    )
