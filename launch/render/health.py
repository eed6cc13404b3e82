"""How an engine or a cluster asks a server whether it is alive: a line of Python that runs inside the container.

vLLM does not listen before it has loaded the model, and answers 503 after its engine core has died. A busy server may
answer late, so a timeout is a failure only after STALLED seconds without any progress: then the server hangs. Images
have no curl, but all have Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch.spec.metric_names import RUNNING, STEPS, WAITING
from launch.spec.plan import FIRST_PORT, Plan, Process
from launch.spec.vllm_args import Draft, parse

STALLED = 300  # seconds without a step of the engine; as `--hang-after` of a supervision
START_SECONDS = 2700  # to load 230 GB and to compile at the first start
INTERVAL, ANSWER, TIMEOUT, RETRIES = (
    30,
    15,
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
    """Return the command that fails if the server is dead or hangs; () if it cannot be asked.

    It keeps the engine's steps in a file in /tmp, whose age is the time without a step. An engine that hangs does not
    report the requests that came since and looks idle, so an idle one is asked for a token. A file that cannot be
    written (a full /tmp) ends no server. With data parallelism all engines are added up.
    """
    at = endpoint(plan, process)
    return () if at is None else _python(at, "json, os, sys, time", _HEALTH)


def startup_command(plan: Plan, process: Process) -> tuple[str, ...]:
    """Return the command that fails until the server answers; () if it cannot be asked."""
    at = endpoint(plan, process)
    return () if at is None else _python(at, "os, sys", _STARTED)


_STARTED = ("sys.excepthook = lambda *error: os._exit(1)", "os._exit(ask('GET', '/health').status != 200)")
_HEALTH = (
    "dead = lambda error: issubclass(error, (ConnectionError, h.HTTPException))",
    "age = lambda: time.time() - os.path.getmtime(seen) if os.path.exists(seen) else 0",
    f"hangs = lambda: age() > {STALLED}",
    "sys.excepthook = lambda error, *rest: os._exit(dead(error) or error is TimeoutError and hangs())",
    # A file of this start only: a container that is restarted keeps its /tmp.
    "seen = '/tmp/.slipway-steps-' + open('/proc/1/stat').read().rsplit(')', 1)[1].split()[19]",
    "ask('GET', '/health').status == 503 and os._exit(1)",
    "page = ask('GET', '/metrics').read().decode().splitlines()",
    "total = lambda *names: sum(float(line.split()[-1]) for line in page if line.startswith(names))",
    f"steps = str(total{STEPS})",
    "move = lambda: open(seen, 'w').write(steps)",
    "os.path.exists(seen) and open(seen).read() == steps or move()",
    f"idle = total('{RUNNING}', '{WAITING}') == 0",
    "key = 'Bearer ' + os.environ.get('VLLM_API_KEY', '')",
    "headers = {'Content-Type': 'application/json', 'Authorization': key}",
    "token = json.dumps({'prompt': 'Hello', 'max_tokens': 1})",
    f"idle and age() > {STALLED // 2} and ask('POST', '/v1/completions', token, headers) and move()",
    "os._exit(hangs())",
)


def _python(at: Endpoint, modules: str, steps: tuple[str, ...]) -> tuple[str, ...]:
    """Return one line of Python: a `try` block would need more. It has nothing that unit files expand (\\, %, $, ")."""
    address = f"'{at.address}', {at.port}, timeout={ANSWER}"
    client = (
        f"h.HTTPSConnection({address}, context=s._create_unverified_context())"
        if at.tls
        else f"h.HTTPConnection({address})"
    )
    imports = f"import {modules}, http.client as h{', ssl as s' if at.tls else ''}"
    ask = f"ask = lambda *request: (c := {client}, c.request(*request), c.getresponse())[2]"
    return ("python3", "-c", "; ".join((imports, ask, *steps)))


def start_seconds(plan: Plan) -> int:
    """Return how long a start may take: START_SECONDS, and what the recipe grants to slow phases."""
    return START_SECONDS + sum(seconds for _, seconds in plan.budgets)
