"""Let a server finish its open requests when its pod ends, which a cluster does at every change and drain of a node.

vLLM 0.32 that is told to end without --shutdown-timeout sends nothing more on open streams and keeps them open until it
is killed: measured on a kubelet. A version whose options are not known gets none.
"""

from __future__ import annotations

from dataclasses import replace

from launch.spec.plan import Plan
from launch.spec.vllm_args import Draft, parse
from launch.spec.vocabulary import vocabulary

OPTION = "--shutdown-timeout"
SECONDS = 60


def draining(plan: Plan) -> Plan:
    """Return the plan with time for open requests, unless it has a time of its own."""
    known = vocabulary(plan.vllm_version)
    if known is None or known.option(OPTION) is None:
        return plan
    if any(Draft(parse(process.argv[3:])).get(OPTION) for process in plan.processes):
        return plan
    words = (OPTION, str(SECONDS))
    return replace(plan, processes=tuple(replace(one, argv=(*one.argv, *words)) for one in plan.processes))
