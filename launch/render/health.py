"""How an engine or a cluster asks a server whether it is alive: one GET /health inside the container.

vLLM does not listen before it has loaded the model, and answers 503 after its engine core has died. A busy server may
answer late, so a timeout does not count as a failure; a refused connection and a 503 do. Images have no curl, but all
have Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.spec.plan import FIRST_PORT, Plan, Process
from launch.spec.vllm_args import Draft, parse

START_SECONDS = 2700  # to load 230 GB and to compile at the first start
INTERVAL, ANSWER, TIMEOUT, RETRIES = (
    30,
    20,
    60,
    3,
)  # ANSWER ends before TIMEOUT, which the engine counts as a failure
PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9.:-]+", re.ASCII)  # it becomes part of a program
ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Endpoint:
    """Where a server answers inside its container."""

    address: str
    port: int
    tls: bool = False


def has_api(process: Process) -> bool:
    """Return whether a process answers requests: not a worker, except with hybrid load balancing."""
    return process.role != "worker" or "--data-parallel-hybrid-lb" in process.argv


def endpoint(plan: Plan, process: Process) -> Endpoint | None:
    """Return where a server answers; None if it cannot be asked: a worker without an API, a socket file, mutual TLS."""
    draft = Draft(parse(process.argv[3:]))
    mutual = draft.get("--ssl-cert-reqs")
    if (
        not has_api(process)
        or draft.get("--headless")
        or draft.get("--uds")
        or (mutual and mutual.value != "0")
    ):
        return None
    ports = plan.container.ports
    port = draft.number("--port", min((port.container for port in ports), default=FIRST_PORT))
    host = draft.get("--host")
    address = ANY_ADDRESS.get(host.value, host.value) if host else ANY_ADDRESS[""]
    if not PLAIN_ADDRESS.fullmatch(address):
        return None
    return Endpoint(address, port or FIRST_PORT, bool(draft.get("--ssl-certfile")))


def health_command(plan: Plan, process: Process) -> tuple[str, ...]:
    """Return the command that fails if the server is dead; () if it cannot be asked."""
    return _command(
        plan, process, "sys.excepthook = lambda kind, *rest: os._exit(kind is not TimeoutError)", "== 503"
    )


def startup_command(plan: Plan, process: Process) -> tuple[str, ...]:
    """Return the command that fails until the server answers; () if it cannot be asked."""
    return _command(plan, process, "sys.excepthook = lambda *error: os._exit(1)", "!= 200")


def _command(plan: Plan, process: Process, on_error: str, failed: str) -> tuple[str, ...]:
    """Return one line of Python: a `try` block would need more. It has nothing that unit files expand (\\, %, $)."""
    at = endpoint(plan, process)
    if at is None:
        return ()
    address = f"'{at.address}', {at.port}, timeout={ANSWER}"
    client = (
        f"h.HTTPSConnection({address}, context=s._create_unverified_context())"
        if at.tls
        else f"h.HTTPConnection({address})"
    )
    steps = (
        f"import os, sys, http.client as h{', ssl as s' if at.tls else ''}",
        on_error,
        f"c = {client}",
        "c.request('GET', '/health')",
        f"os._exit(c.getresponse().status {failed})",
    )
    return ("python3", "-c", "; ".join(steps))


def start_seconds(plan: Plan) -> int:
    """Return how long a start may take: START_SECONDS, and what the recipe grants to slow phases."""
    return START_SECONDS + sum(seconds for _, seconds in plan.budgets)
