"""The plan for programs: the public format of `invoke plan --format json`."""

from __future__ import annotations

import json

from launch.spec.plan import Plan


def render(plan: Plan) -> str:
    """One JSON document."""
    return json.dumps({**plan.as_dict(), "digest": plan.digest}, indent=2)
