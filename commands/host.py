"""`invoke doctor` and `invoke gpus`: what this host can do, and what is wrong before anything is loaded."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from commands.output import emit, say
from commands.task import one_of, setting, verb
from errors import Failed, Refused

if TYPE_CHECKING:
    from launch.doctor.facts import Facts
    from launch.doctor.finding import Finding
    from launch.hardware.types import Gpu

PLATFORMS = ("cpu", "cuda", "rocm")


@verb(
    help={
        "platform": "cpu, cuda or rocm (default: that of the GPUs here)",
        "model": "also: may it be downloaded, and is there room for it",
        "port": "the port to serve on",
        "fix": "do what is safe: create folders, tighten modes",
        "format": "text or json",
    }
)
def doctor(
    c: Any, platform: str = "", model: str = "", port: int = 8000, fix: bool = False, format: str = "text"
) -> None:
    """Tell what this host can do, what is wrong, and the command that helps. Exit 1 if a launch would fail.

    invoke doctor
    invoke doctor --platform rocm --model MiniMaxAI/MiniMax-M2 --format json
    """
    from launch.doctor.gather import gather
    from launch.doctor.report import run_checks

    one_of("format", format, ("text", "json"))
    platform = setting(c, "platform", platform)
    if platform:
        one_of("platform", platform, PLATFORMS)
    if not 0 < port < 65536:
        raise Refused(f"--port {port}: a port is between 1 and 65535")
    facts = gather(platform, model, port)
    findings = run_checks(facts)
    done: list[str] = []
    if fix and (done := _fixed(c, facts, findings)):
        facts = gather(platform, model, port)
        findings = run_checks(facts)
    _report(facts, findings, done, format)


def _fixed(c: Any, facts: Facts, findings: tuple[Finding, ...]) -> list[str]:
    from launch.doctor.auto_fix import apply_auto_fixes

    if c.config.run.dry:
        return []
    return apply_auto_fixes(facts, findings)


def _report(facts: Facts, findings: tuple[Finding, ...], done: list[str], format: str) -> None:
    from launch.doctor.report import count_by_severity, format_findings

    counts = count_by_severity(findings)
    if format == "json":
        emit(
            {
                "platform": facts.platform,
                "counts": counts,
                "fixed": done,
                "findings": [asdict(f) for f in findings],
            }
        )
    else:
        for line in (*done, *format_findings(findings)):
            print(line)
        say(
            f"{facts.platform}: "
            + ", ".join(f"{number} {level}" for level, number in counts.items() if number)
        )
    if counts["error"]:
        raise Failed(
            f"{counts['error']} finding(s) would stop a launch on {facts.platform}",
            fix="invoke doctor, after the commands after 'next:' above",
        )


@verb(help={"format": "text or json"})
def gpus(c: Any, format: str = "text") -> None:
    """The GPUs of this host: model, memory, links, partitions, who uses them."""
    from launch.hardware.detect import detect

    one_of("format", format, ("text", "json"))
    hardware = detect()
    if format == "json":
        emit(asdict(hardware))
        return
    for gpu in hardware.gpus:
        print(_line(gpu))
    for problem in (*hardware.nvidia.problems, *hardware.amd.problems):
        say(f"problem: {problem}")
    if not hardware.gpus:
        say("no GPU that a driver shows; invoke doctor tells more")


def _line(gpu: Gpu) -> str:
    total = f"{gpu.memory / 2**30:.0f} GiB" if gpu.memory else "memory unknown"
    used = f", {gpu.used / 2**30:.1f} used" if gpu.used is not None else ""
    links = f"linked to {','.join(map(str, gpu.links))}" if gpu.links else "no links"
    numa = f"NUMA {gpu.numa}" if gpu.numa is not None else "NUMA ?"
    parts = f"{gpu.partition} x{gpu.ranks}" if gpu.ranks > 1 else gpu.partition
    known = gpu.hardware or f"{gpu.arch} (not listed)"
    words = (f"{gpu.index:>2} {gpu.name}", known, f"{total}{used}", gpu.pci, numa, links, parts, gpu.problem)
    return "  ".join(word for word in words if word)
