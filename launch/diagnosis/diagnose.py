"""Diagnose a failed server from its log, exit code and engine error.

Call `diagnose(DiagnosisInput(lines, exit_code, oom_killed, engine_error))`; `rules/` lists the known causes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.diagnosis.types import Confidence, Diagnosis, DiagnosisInput

if TYPE_CHECKING:
    from launch.diagnosis.rules import Rules

__all__ = ["Diagnosis", "DiagnosisInput", "diagnose", "format_text"]


def diagnose(diagnosis_input: DiagnosisInput, rules: Rules | None = None) -> Diagnosis:
    """Find the cause of a failure. Never raises, whatever the log; `known` is False if no rule matches."""
    from launch.diagnosis.matcher import match_input
    from launch.diagnosis.rules import load_rules

    return match_input(diagnosis_input, rules or load_rules())


def format_text(diagnosis: Diagnosis) -> str:
    """Format a diagnosis for people: what, why, next."""
    possibly = "possibly: " if diagnosis.confidence is Confidence.LOW else ""
    parts = [f"what: {possibly}{diagnosis.cause}"]
    if diagnosis.evidence:
        parts.append("why:  " + "\n      ".join(diagnosis.evidence))
    if diagnosis.alternatives:
        parts.append("or:   " + "\n      ".join(diagnosis.alternatives))
    if not diagnosis.known and diagnosis.first_exception:
        parts.append(f"first exception: {diagnosis.first_exception}")
    if diagnosis.warnings:
        parts.append("warnings above it: " + "\n      ".join(diagnosis.warnings))
    if not diagnosis.known and diagnosis.versions:
        parts.append("log:  " + ", ".join(f"{name} {value}" for name, value in diagnosis.versions.items()))
    if diagnosis.fix:
        parts.append(f"next: {diagnosis.fix}")
    return "\n".join(parts)
