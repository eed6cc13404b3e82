"""Print a plan in one of several formats, each with the same image, command, access and ports. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable

from errors import choice
from launch.planning.image_choice import require_fixed
from launch.render import compose, docker, kubernetes, quadlet, text
from launch.spec.plan import FIRST_PORT, Plan


def to_json(plan: Plan) -> str:
    """Return one JSON document: the public format of `invoke plan --format json`."""
    return json.dumps({**plan.as_dict(), "digest": plan.digest}, indent=2)


RENDERERS: dict[str, Callable[[Plan], str]] = {
    "text": text.render,
    "json": to_json,
    "docker": docker.render,
    "compose": compose.render,
    "quadlet": quadlet.render,
    "kubernetes": kubernetes.render,
}
FORMATS = tuple(RENDERERS)


def render(plan: Plan, form: str) -> str:
    """Return the plan in one of FORMATS. Raises Refused for another format, Failed for a tag without a digest.

    The files and commands are for other programs, which cannot choose a port: they name FIRST_PORT for AUTO_PORT.
    """
    if form not in RENDERERS:
        raise choice("format", form, FORMATS)
    if form in ("text", "json"):
        return RENDERERS[form](plan)
    require_fixed(plan)
    return RENDERERS[form](plan.with_port(FIRST_PORT))
