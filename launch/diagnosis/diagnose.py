"""Why a server failed, from what it left behind: the cause, the lines that prove it, the cure.

`diagnose(Evidence(lines, exit_code, oom_killed, engine_error))` is all that others call. The rows of what is
known are in symptoms.yaml.
"""

from __future__ import annotations

from launch.diagnosis.types import Diagnosis, Evidence

__all__ = ["Diagnosis", "Evidence", "diagnose", "text"]


def diagnose(evidence: Evidence) -> Diagnosis:
    """The cause of a failure. Never raises for any log; `known` is False where no row fits."""
    from launch.diagnosis.matcher import judge
    from launch.diagnosis.rules import table

    return judge(evidence, table())


def text(diagnosis: Diagnosis) -> str:
    """A diagnosis for people: what, why, next."""
    parts = [f"what: {diagnosis.cause}"]
    if diagnosis.proof:
        parts.append("why:  " + "\n      ".join(diagnosis.proof))
    if not diagnosis.known and diagnosis.first_exception:
        parts.append(f"first exception: {diagnosis.first_exception}")
    if diagnosis.fix:
        parts.append(f"next: {diagnosis.fix}")
    return "\n".join(parts)
