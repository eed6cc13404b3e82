"""Run all checks on a host's facts, in the order of a launch, and format the findings."""

from __future__ import annotations

from launch.doctor.checks import amd, amd_driver, engine, gpu, hub, memory, network, nvidia
from launch.doctor.facts import Facts
from launch.doctor.finding import SEVERITIES, Check, Finding

MODULES = (engine, gpu, nvidia, amd_driver, amd, memory, hub, network)
CHECKS: tuple[Check, ...] = tuple(check for module in MODULES for check in module.CHECKS)


def run_checks(facts: Facts) -> tuple[Finding, ...]:
    """Return all findings, grouped by the name of their check."""
    findings = [finding for check in CHECKS for finding in check(facts)]
    names = list(dict.fromkeys(finding.check for finding in findings))
    return tuple(sorted(findings, key=lambda finding: names.index(finding.check)))


def count_by_severity(findings: tuple[Finding, ...]) -> dict[str, int]:
    """Count the findings of each severity."""
    return {level: sum(finding.severity == level for finding in findings) for level in SEVERITIES}


def format_findings(findings: tuple[Finding, ...]) -> list[str]:
    """Format the report: one line for each finding, with why and next below it."""
    width = max((len(finding.check) for finding in findings), default=0)
    indent = " " * (9 + width + 2)
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity:<8} {finding.check:<{width}}  {finding.what}")
        if finding.why:
            lines.append(f"{indent}why:  {finding.why}")
        if finding.fix:
            lines.append(f"{indent}next: {finding.fix}")
    return lines
