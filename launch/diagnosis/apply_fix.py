"""A cure as a change of the plan: the same plan with the options of the diagnosis, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from errors import Refused
from launch.diagnosis.types import Diagnosis
from launch.spec.plan import Plan, Port, Process, Reason
from launch.spec.vllm_args import Arg, last_wins, parse, to_argv

# What vLLM takes where the plan says nothing (vllm/config/cache.py, 0.32).
DEFAULTS = {"--gpu-memory-utilization": 0.92}
LEAST = {"--gpu-memory-utilization": 0.5}  # our rule: where half a GPU is too much, memory is not the cause

# These are the planner's: legality and memory are worked out anew for another layout.
LAYOUT = (
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--data-parallel-size",
    "--enable-expert-parallel",
)

Args = tuple[Arg, ...]


def fixed(plan: Plan, diagnosis: Diagnosis, port: int = 0) -> Plan:
    """The plan with the diagnosis' change in it; the very same plan where it already has it.

    `port` is a free port of this host for a change that asks for another one; 0 takes the next number.
    Raises Refused where the diagnosis has no change, or one that is another layout.
    """
    change = diagnosis.change
    if not change:
        raise Refused("no change of the plan cures this", why=diagnosis.cause, fix=diagnosis.fix)
    if any(flag in LAYOUT for flag in change.get("set", {})):
        raise Refused("this cure is another layout, which is planned anew", fix=diagnosis.fix)
    made = plan
    for kind, value in change.items():
        made = _KINDS[kind](made, value, port)
    return _with_reasons(made, diagnosis) if made != plan else plan


def _set(plan: Plan, flags: Mapping[str, str], port: int) -> Plan:
    return _arguments(plan, lambda args: last_wins((*args, *(_option(args, f, v) for f, v in flags.items()))))


def _option(args: Args, flag: str, value: str) -> Arg:
    """A switch for "true"; JSON is merged into the JSON that is there."""
    if value == "true":
        return Arg(flag)
    old = next((arg.value for arg in args if arg.key == flag), "")
    return Arg(flag, (_merged(old, value),))


def _merged(old: str, new: str) -> str:
    try:
        both = [json.loads(old), json.loads(new)]
    except ValueError:
        return new
    return json.dumps(both[0] | both[1]) if all(isinstance(one, dict) for one in both) else new


def _unset(plan: Plan, flags: list[str], port: int) -> Plan:
    return _arguments(plan, lambda args: tuple(arg for arg in args if arg.key not in flags))


def _lower(plan: Plan, flags: Mapping[str, str], port: int) -> Plan:
    return _arguments(plan, lambda args: last_wins((*args, *_lowered(args, flags))))


def _lowered(args: Args, flags: Mapping[str, str]) -> list[Arg]:
    found = []
    for flag, step in flags.items():
        said = next((arg.value for arg in args if arg.key == flag), "")
        value = round((float(said) if said else DEFAULTS[flag]) - float(step), 4)
        if value >= LEAST[flag]:
            found.append(Arg(flag, (f"{value:g}",)))
    return found


def _env(plan: Plan, env: Mapping[str, str], port: int) -> Plan:
    processes = (replace(p, env=tuple((dict(p.env) | dict(env)).items())) for p in plan.processes)
    return replace(plan, processes=tuple(processes))


def _port(plan: Plan, wanted: bool, port: int) -> Plan:
    """Another port of the host; with the host's own network, another port of the server."""
    old = plan.container.ports
    if old:
        moved = (replace(old[0], host=port or old[0].host + 1), *old[1:])
        return replace(plan, container=replace(plan.container, ports=moved))
    said = next((a.value for p in plan.processes for a in parse(p.argv) if a.key == "--port"), "")
    return _set(plan, {"--port": str(port or int(said or 8000) + 1)}, port)


def _shm(plan: Plan, size: int, port: int) -> Plan:
    bigger = max(size, plan.container.shm_bytes)
    return replace(plan, container=replace(plan.container, shm_bytes=bigger))


_KINDS: Mapping[str, Callable[[Plan, Any, int], Plan]] = {
    "set": _set,
    "unset": _unset,
    "lower": _lower,
    "env": _env,
    "port": _port,
    "shm": _shm,
}


def _arguments(plan: Plan, change: Callable[[Args], Args]) -> Plan:
    """The change in the command of every process."""
    return replace(plan, processes=tuple(_rewritten(process, change) for process in plan.processes))


def _rewritten(process: Process, change: Callable[[Args], Args]) -> Process:
    return replace(process, argv=to_argv(change(parse(process.argv))))


def _with_reasons(plan: Plan, diagnosis: Diagnosis) -> Plan:
    source = f"cure: {diagnosis.cause_id} ({diagnosis.source})"
    items = (item for kind, value in (diagnosis.change or {}).items() for item in _items(kind, value, plan))
    reasons = tuple(Reason(item, diagnosis.cause, source) for item in items)
    note = f"changed after a failed start: {', '.join(reason.item for reason in reasons)}: {diagnosis.cause}"
    return replace(plan, reasons=(*plan.reasons, *reasons), notes=(*plan.notes, note))


def _items(kind: str, value: Any, plan: Plan) -> list[str]:
    """How the change reads among the plan's reasons."""
    if kind == "set":
        return [flag if said == "true" else f"{flag} {said}" for flag, said in value.items()]
    if kind == "env":
        return [f"{name}={said}" for name, said in value.items()]
    if kind == "port":
        ports: tuple[Port, ...] = plan.container.ports
        return [f"port {ports[0].host}" if ports else "--port"]
    if kind == "lower":
        return [f"{flag} lowered by {step}" for flag, step in value.items()]
    return [f"without {flag}" for flag in value] if kind == "unset" else [f"shm-size {value}"]
