"""Who answers requests if data parallel ranks are on several nodes: the head alone, or every node.

By default the head answers all requests and its followers are headless. With --data-parallel-hybrid-lb every node has
an API server for its own ranks, and what sends the requests spreads them over the nodes, for example a Service
(vLLM's data parallel deployment page).
"""

from __future__ import annotations

from dataclasses import replace

from errors import Refused
from launch.planning.vllm_versions import USER
from launch.spec.vllm_args import Arg, Draft

HYBRID, HEADLESS, RANKS = "--data-parallel-hybrid-lb", "--headless", "--data-parallel-size-local"
WHY_HEADLESS = f"the head answers all requests; --set {HYBRID}=true gives every node an API server"


def balance(draft: Draft, nodes: int, rank: int) -> Draft:
    """Return the options of one node, fit for its way to answer. Raises Refused if hybrid balancing has no use."""
    hybrid = draft.get(HYBRID)
    if not hybrid:
        return replace(draft, args=tuple(_explained(arg) for arg in draft.args))
    if hybrid.source == USER and (nodes < 2 or not draft.get(RANKS)):
        why = "it spreads requests over nodes, and this plan has data parallel ranks on one node only"
        raise Refused(f"{HYBRID} is for data parallel ranks on several nodes", why=why, fix="leave it out")
    return draft.without(HEADLESS) if rank else draft


def _explained(arg: Arg) -> Arg:
    return replace(arg, why=WHY_HEADLESS) if arg.key == HEADLESS and arg.source != USER else arg
