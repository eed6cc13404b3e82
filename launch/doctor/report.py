"""All checks over one host, in the order of a launch."""

from __future__ import annotations

from launch.doctor.checks import amd, amd_driver, engine, gpu, hub, memory, network, nvidia
from launch.doctor.facts import Facts
from launch.doctor.finding import SEVERITIES, Check, Finding

ROOMS = (
    engine,
    gpu,
    nvidia,
    amd_driver,
    amd,
    memory,
    hub,
    network,
)
CHECKS: tuple[Check, ...] = tuple(check for room in ROOMS for check in room.CHECKS)


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Every finding; those of one name stand together, the order is the checks'."""
    found = [finding for check in CHECKS for finding in check(facts)]
    names = list(dict.fromkeys(finding.check for finding in found))
    return tuple(sorted(found, key=lambda finding: names.index(finding.check)))


def count(findings: tuple[Finding, ...]) -> dict[str, int]:
    """How many of each severity."""
    return {level: sum(finding.severity == level for finding in findings) for level in SEVERITIES}


def lines(findings: tuple[Finding, ...]) -> list[str]:
    """The report for a person: one line each, and below it what to do."""
    width = max((len(finding.check) for finding in findings), default=0)
    shown = []
    for finding in findings:
        shown.append(f"{finding.severity:<8} {finding.check:<{width}}  {finding.seen}")
        indent = " " * (9 + width + 2)
        if finding.why:
            shown.append(f"{indent}why: {finding.why}")
        if finding.remedy:
            shown.append(f"{indent}do:  {finding.remedy}")
    return shown
