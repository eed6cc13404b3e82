"""Apply the fix of a diagnosis to a plan, with the reason for each changed option."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from errors import Refused
from launch.diagnosis.types import Diagnosis
from launch.spec.plan import AUTO_PORT, Plan, Process, Reason
from launch.spec.vllm_args import Arg, last_wins, parse, to_argv

# vLLM's default if the plan does not set the option (vllm/config/cache.py, 0.32).
DEFAULTS = {"--gpu-memory-utilization": 0.92}
MINIMUM = {
    "--gpu-memory-utilization": 0.5
}  # Slipway's rule: if half a GPU is too much, memory is not the cause

# Only the planner changes these: another layout must be checked for validity and memory again.
LAYOUT = (
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--data-parallel-size",
    "--enable-expert-parallel",
)

Args = tuple[Arg, ...]


def apply_fix(plan: Plan, diagnosis: Diagnosis, port: int = 0) -> Plan:
    """Return the plan with the change of a diagnosis; the same object if it has the change already.

    `port` is a free port of the host for a change that needs another port; 0 takes the next number.
    Raises Refused if the diagnosis has no change, or one that changes the parallel layout.
    """
    change = diagnosis.change
    if not change:
        raise Refused("no change of the plan fixes this failure", why=diagnosis.cause, fix=diagnosis.fix)
    if any(flag in LAYOUT for flag in change.get("set", {})):
        raise Refused(
            "the fix changes the parallel layout, which only `invoke plan` can do", fix=diagnosis.fix
        )
    changed = plan
    for kind, value in change.items():
        changed = _CHANGES[kind](changed, value, port)
    return _with_reasons(changed, diagnosis) if changed != plan else plan


def _set(plan: Plan, flags: Mapping[str, str], port: int) -> Plan:
    return _with_args(plan, lambda args: last_wins((*args, *(_arg(args, f, v) for f, v in flags.items()))))


def _arg(args: Args, flag: str, value: str) -> Arg:
    """Return the argument; "true" makes a switch, and JSON is merged into the present JSON."""
    if value == "true":
        return Arg(flag)
    present = next((arg.value for arg in args if arg.key == flag), "")
    return Arg(flag, (_merge_json(present, value),))


def _merge_json(present: str, value: str) -> str:
    try:
        both = [json.loads(present), json.loads(value)]
    except ValueError:
        return value
    return json.dumps(both[0] | both[1]) if all(isinstance(one, dict) for one in both) else value


def _unset(plan: Plan, flags: list[str], port: int) -> Plan:
    return _with_args(plan, lambda args: tuple(arg for arg in args if arg.key not in flags))


def _lower(plan: Plan, flags: Mapping[str, str], port: int) -> Plan:
    return _with_args(plan, lambda args: last_wins((*args, *_lowered(args, flags))))


def _lowered(args: Args, flags: Mapping[str, str]) -> list[Arg]:
    lowered = []
    for flag, step in flags.items():
        present = next((arg.value for arg in args if arg.key == flag), "")
        value = round((float(present) if present else DEFAULTS[flag]) - float(step), 4)
        if value >= MINIMUM[flag]:
            lowered.append(Arg(flag, (f"{value:g}",)))
    return lowered


def _env(plan: Plan, env: Mapping[str, str], port: int) -> Plan:
    processes = (replace(p, env=tuple((dict(p.env) | dict(env)).items())) for p in plan.processes)
    return replace(plan, processes=tuple(processes))


def _port(plan: Plan, wanted: bool, port: int) -> Plan:
    """Change the published port of the host, or the server's own port if it uses the host's network."""
    published = plan.container.ports
    if published and published[0].host == AUTO_PORT:
        return plan  # the next start chooses another port
    if published:
        moved = (replace(published[0], host=port or published[0].host + 1), *published[1:])
        return replace(plan, container=replace(plan.container, ports=moved))
    present = next((a.value for p in plan.processes for a in parse(p.argv) if a.key == "--port"), "")
    return _set(plan, {"--port": str(port or int(present or 8000) + 1)}, port)


def _shm(plan: Plan, size: int, port: int) -> Plan:
    return replace(plan, container=replace(plan.container, shm_bytes=max(size, plan.container.shm_bytes)))


_CHANGES: Mapping[str, Callable[[Plan, Any, int], Plan]] = {
    "set": _set,
    "unset": _unset,
    "lower": _lower,
    "env": _env,
    "port": _port,
    "shm": _shm,
}


def _with_args(plan: Plan, change: Callable[[Args], Args]) -> Plan:
    """Change the arguments of every process."""

    def changed(process: Process) -> Process:
        return replace(process, argv=to_argv(change(parse(process.argv))))

    return replace(plan, processes=tuple(map(changed, plan.processes)))


def _with_reasons(plan: Plan, diagnosis: Diagnosis) -> Plan:
    source = f"fix: {diagnosis.cause_id} ({diagnosis.source})"
    items = [
        item for kind, value in (diagnosis.change or {}).items() for item in _describe(kind, value, plan)
    ]
    reasons = tuple(Reason(item, diagnosis.cause, source) for item in items)
    note = f"changed after a failed start: {', '.join(items)}: {diagnosis.cause}"
    return replace(plan, reasons=(*plan.reasons, *reasons), notes=(*plan.notes, note))


def _describe(kind: str, value: Any, plan: Plan) -> list[str]:
    """Return how a change is listed among the plan's reasons."""
    if kind == "set":
        return [flag if setting == "true" else f"{flag} {setting}" for flag, setting in value.items()]
    if kind == "env":
        return [f"{name}={setting}" for name, setting in value.items()]
    if kind == "port":
        ports = plan.container.ports
        return [f"port {ports[0].host}" if ports else "--port"]
    if kind == "lower":
        return [f"{flag} lowered by {step}" for flag, step in value.items()]
    return [f"without {flag}" for flag in value] if kind == "unset" else [f"shm-size {value}"]
