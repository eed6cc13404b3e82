"""The name of a server's container."""

from __future__ import annotations

import re

from launch.spec.plan import Plan


def name_of(plan: Plan) -> str:
    """Return the name of the plan's container: the user's, else the one made from the model."""
    return plan.container.name or name_for(plan.model)


def name_for(model: str) -> str:
    """Return the name of a model's container."""
    return "slipway-" + re.sub(r"[^a-z0-9.]+", "-", model.rpartition("/")[2].lower())
