"""Cures that worked here before, by model, image and hardware: the next start has them from the beginning."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from errors import Refused
from launch.diagnosis.apply_fix import fixed
from launch.diagnosis.types import Diagnosis
from launch.paths import FOLDER
from launch.planning.vllm_versions import USER
from launch.spec.plan import Plan

KEPT = FOLDER / "cures.jsonl"
_FIELDS = {"cause_id", "cause", "change"}
_PASSING = ("port",)  # a taken port says nothing about the next start


def keep(plan: Plan, diagnosis: Diagnosis, path: Path = KEPT) -> None:
    """Remember that this plan needed this change."""
    change = {kind: value for kind, value in (diagnosis.change or {}).items() if kind not in _PASSING}
    if not change:
        return
    row = {**_key(plan), "cause_id": diagnosis.cause_id, "cause": diagnosis.cause, "change": change}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:  # a server that serves is no failure for want of a note
        print(f"warning: the cure is not kept: {error}", file=sys.stderr)


def with_kept(plan: Plan, path: Path = KEPT) -> Plan:
    """The plan with every cure that it needed before, but for options that the user set."""
    for diagnosis in _rows(plan, path):
        try:
            plan = plan if _named_by_user(plan, diagnosis) else fixed(plan, diagnosis)
        except Refused:
            continue
    return plan


def _named_by_user(plan: Plan, diagnosis: Diagnosis) -> bool:
    words = [
        word for part in (diagnosis.change or {}).values() if isinstance(part, (dict, list)) for word in part
    ]
    own = {reason.item.split()[0].partition("=")[0] for reason in plan.reasons if reason.source == USER}
    return bool(own.intersection(words))


def _rows(plan: Plan, path: Path) -> Iterator[Diagnosis]:
    """What was kept for this model, image and hardware; a line that is not ours is passed over."""
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.keys() >= _FIELDS and _key(plan).items() <= row.items():
            yield Diagnosis(row["cause_id"], row["cause"], change=row["change"], source=f"kept in {path}")


def _key(plan: Plan) -> dict[str, Any]:
    return {"model": plan.model, "image": plan.image, "hardware": plan.hardware}
