"""One plan, many spellings: each module prints the same image, command, access and ports in one format."""

from __future__ import annotations

from importlib import import_module

from errors import choice
from launch.spec.plan import Plan

FORMATS = ("table", "docker", "compose", "quadlet", "kubernetes", "json")


def render(plan: Plan, form: str) -> str:
    """The plan in a format of `FORMATS`. Raises Refused for another one."""
    if form not in FORMATS:
        raise choice("format", form, FORMATS)
    return str(import_module(f"launch.render.{form}").render(plan))
