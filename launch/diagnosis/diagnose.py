"""Diagnose a failed server from its log, exit code and engine error.

Call `diagnose(DiagnosisInput(lines, exit_code, oom_killed, engine_error))`; `rules.yaml` lists the known causes.
"""

from __future__ import annotations

from launch.diagnosis.types import Diagnosis, DiagnosisInput

__all__ = ["Diagnosis", "DiagnosisInput", "diagnose", "format_text"]


def diagnose(diagnosis_input: DiagnosisInput) -> Diagnosis:
    """Find the cause of a failure. Never raises, whatever the log; `known` is False if no rule matches."""
    from launch.diagnosis.matcher import match_input
    from launch.diagnosis.rules import load_rules

    return match_input(diagnosis_input, load_rules())


def format_text(diagnosis: Diagnosis) -> str:
    """Format a diagnosis for people: what, why, next."""
    parts = [f"what: {diagnosis.cause}"]
    if diagnosis.evidence:
        parts.append("why:  " + "\n      ".join(diagnosis.evidence))
    if not diagnosis.known and diagnosis.first_exception:
        parts.append(f"first exception: {diagnosis.first_exception}")
    if diagnosis.fix:
        parts.append(f"next: {diagnosis.fix}")
    return "\n".join(parts)
