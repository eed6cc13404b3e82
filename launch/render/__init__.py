"""Print a plan in one of several formats, each with the same image, command, access and ports. Pure."""

from __future__ import annotations

from importlib import import_module

from errors import Refused, choice
from launch.spec.plan import FIRST_PORT, Plan

# Each format with its file. A module is imported when its format is asked for, so that `invoke` starts faster.
FILES = {
    "text": "plan.txt",
    "json": "plan.json",
    "docker": "run.sh",
    "compose": "compose.yaml",
    "quadlet": "",  # named by the plan, one for each node
    "kubernetes": "kubernetes.yaml",
}
FORMATS = tuple(FILES)
MONITORED = ("compose", "kubernetes")
# Why the text of a format may be several files.
WHY_FILES = {
    "quadlet": "systemd reads the unit of each node from a file of its own",
    "compose": "Prometheus and Grafana read their configuration from files of their own",
}


def to_json(plan: Plan) -> str:
    """Return one JSON document: the public format of `invoke plan --format json`."""
    import json

    return json.dumps({**plan.as_dict(), "digest": plan.digest}, indent=2)


def render(plan: Plan, form: str, monitoring: bool = False) -> str:
    """Return the plan as one text in one of FORMATS.

    Raises Refused for another format and for a plan of several files, Failed for a tag without a digest.
    """
    found = tuple(files(plan, form, monitoring).values())
    if len(found) > 1:
        raise Refused(
            f"--format {form} of this plan is several files", why=WHY_FILES[form], fix="--output DIR"
        )
    return found[0]


def files(plan: Plan, form: str, monitoring: bool = False) -> dict[str, str]:
    """Return the text of each file by its name. Raises Refused for another format, Failed for a tag without a digest.

    The files and commands are for other programs, which cannot choose a port: they name FIRST_PORT for AUTO_PORT.
    """
    if form not in FILES:
        raise choice("format", form, FORMATS)
    if monitoring and form not in MONITORED:
        why = f"a file of the format {form} cannot hold Prometheus and a dashboard"
        raise Refused("--monitoring needs another format", why=why, fix=f"--format {MONITORED[0]}")
    if form == "json":
        return {FILES[form]: to_json(plan)}
    renderer = import_module(f"launch.render.{form}")
    if form == "text":
        return {FILES[form]: renderer.render(plan)}
    from launch.planning.image_choice import require_fixed

    require_fixed(plan)
    plan = plan.with_port(FIRST_PORT)
    if form == "quadlet":
        texts: dict[str, str] = renderer.files(plan)
        return texts
    if not monitoring:
        return {FILES[form]: renderer.render(plan)}
    return {FILES[form]: renderer.render(plan, monitoring=True), **_monitoring_files(plan, form)}


def _monitoring_files(plan: Plan, form: str) -> dict[str, str]:
    """Return the files that a Compose file with monitoring mounts; the objects of a cluster are one file."""
    from launch.render.monitoring import configuration

    return configuration.files(plan) if form == "compose" else {}
