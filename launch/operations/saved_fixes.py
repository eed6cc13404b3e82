"""Save the fixes that made a start succeed, by model, image and hardware, and apply them to the next plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from errors import Refused
from launch import paths
from launch.diagnosis.apply_fix import apply_fix
from launch.diagnosis.types import Diagnosis
from launch.operations import json_lines
from launch.planning.vllm_versions import USER
from launch.spec.plan import Plan

_FIELDS = {"cause_id", "cause", "change"}
_NOT_SAVED = ("port",)  # a port in use now says nothing about the next start


def save(plan: Plan, diagnosis: Diagnosis) -> None:
    """Save the change that made this plan start."""
    change = {kind: value for kind, value in (diagnosis.change or {}).items() if kind not in _NOT_SAVED}
    if change:
        row = {"cause_id": diagnosis.cause_id, "cause": diagnosis.cause, "change": change}
        json_lines.append(_file(), {**_key(plan), **row})


def apply_saved(plan: Plan) -> Plan:
    """Return the plan with every fix saved for it, except fixes to options that the user set."""
    for diagnosis in _saved_for(plan):
        try:
            plan = plan if _changes_user_option(plan, diagnosis) else apply_fix(plan, diagnosis)
        except Refused:
            continue
    return plan


def _file() -> Path:
    return paths.state_dir() / "fixes.jsonl"


def _changes_user_option(plan: Plan, diagnosis: Diagnosis) -> bool:
    parts = (part for part in (diagnosis.change or {}).values() if isinstance(part, (dict, list)))
    changed = {option for part in parts for option in part}
    set_by_user = {
        reason.item.split()[0].partition("=")[0] for reason in plan.reasons if reason.source == USER
    }
    return bool(changed & set_by_user)


def _saved_for(plan: Plan) -> Iterator[Diagnosis]:
    """Yield what was saved for this model, image and hardware."""
    path = _file()
    for row in json_lines.read(path):
        if row.keys() >= _FIELDS and _key(plan).items() <= row.items():
            yield Diagnosis(row["cause_id"], row["cause"], change=row["change"], source=f"saved in {path}")


def _key(plan: Plan) -> dict[str, Any]:
    return {
        "model": plan.model,
        "image": plan.image_source.name or plan.image,
        "hardware": plan.hardware,
    }
