"""The plan: everything a launch needs, frozen, so that all renderers and the engine use the same values.

`planning/planner.py` makes a plan, `render/` prints it, `engine/containers.py` starts it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from launch.spec.control_characters import refuse_in

Pairs = tuple[tuple[str, str], ...]
AUTO_PORT = 0  # a host port that is chosen at the start: the first free one from FIRST_PORT on
FIRST_PORT = 8000
EXPLANATIONS = ("reasons", "notes", "rejected", "fit")
NOT_LAUNCHED = (*EXPLANATIONS, "budgets")  # no part of what runs


@dataclass(frozen=True)
class Reason:
    """Why the plan has a flag, an environment variable or a container setting. `source`: file and key, rule or user."""

    item: str
    why: str
    source: str


@dataclass(frozen=True)
class Layout:
    """The number of ranks of each kind. `ep` is the number of expert shards; 1 means no expert parallelism."""

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    nodes: int = 1

    @property
    def gpus(self) -> int:
        """Return the number of GPUs on all nodes together."""
        return self.tp * self.pp * self.dp

    @property
    def name(self) -> str:
        """Return TP4, DP8+EP, TP8xPP2."""
        sizes = (("TP", self.tp), ("PP", self.pp), ("DP", self.dp))
        parts = [f"{kind}{size}" for kind, size in sizes if size > 1] or ["TP1"]
        return "x".join(parts) + ("+EP" if self.ep > 1 else "")


@dataclass(frozen=True)
class Rejected:
    """A layout that was considered, and the arithmetic that excludes it."""

    layout: str
    reason: str


@dataclass(frozen=True)
class Fit:
    """The memory estimate. `result`: `fits`, `does not fit` or `unknown`. GiB are 2**30 bytes; None: not known."""

    result: str = "unknown"
    kv_tokens: int | None = None
    kv_tokens_per_replica: int | None = None
    max_model_len: int | None = None
    per_gpu_gib: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Process:
    """One `vllm serve` on one node."""

    role: str
    node: int
    argv: tuple[str, ...]
    env: Pairs = ()


@dataclass(frozen=True)
class Mount:
    """A host folder inside the container; a `source` without a slash is a named volume."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Port:
    """A port of the container, published on an address of the host. `host` may be AUTO_PORT."""

    host_ip: str
    host: int
    container: int


@dataclass(frozen=True)
class Container:
    """Everything the container may access. Names follow the engine's API."""

    profile: str = "least"
    devices: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()  # NVIDIA device request: ids, or ("all",)
    cdi: tuple[str, ...] = ()  # CDI names: amd.com/gpu=0
    groups: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    privileged: bool = False
    ipc: str = ""  # "host" or "" (private)
    shm_bytes: int = 0  # 0 leaves the engine's default
    network: str = ""  # "host" or "" (bridge)
    user: str = ""  # "uid:gid" or "" (the image's)
    ulimits: tuple[tuple[str, int], ...] = ()
    tmpfs: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    entrypoint: tuple[str, ...] = ()  # of the image, if known: argv is passed without this prefix
    name: str = ""
    tty: bool = False  # an interactive terminal (-it)
    env: Pairs = ()  # in addition to that of each process
    env_files: tuple[str, ...] = ()  # files of secret variables on the host; their content is never in a plan


@dataclass(frozen=True)
class Plan:
    """A launch that vLLM accepts: image, processes, access, memory estimate, and the reason for each item."""

    model: str
    platform: str
    image: str
    vllm_version: str
    strategy: str
    layout: Layout
    processes: tuple[Process, ...]
    container: Container
    fit: Fit = field(default_factory=Fit)
    rejected: tuple[Rejected, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    hardware: str = ""  # an id of spec/gpu_catalog.yaml or of a taxonomy
    budgets: tuple[tuple[str, int], ...] = ()  # from the recipe: seconds without a log line, by phase

    def __post_init__(self) -> None:
        """Raise Refused if a value could become something else in a file or command that is made from it."""
        refuse_in(self, EXPLANATIONS)

    def program(self, process: Process) -> tuple[str, ...]:
        """Return the ENTRYPOINT to set if the image's own is not known; empty keeps the image's.

        An interactive container keeps its shell, in which the user types argv.
        """
        return () if self.container.entrypoint or self.container.tty else process.argv[:1]

    def command(self, process: Process) -> tuple[str, ...]:
        """Return the command for the engine: argv without the ENTRYPOINT."""
        own = self.container.entrypoint or self.program(process)
        return process.argv[len(own) :] if process.argv[: len(own)] == own else process.argv

    def environment(self, process: Process) -> Pairs:
        """Return all environment variables of one process."""
        return (*self.container.env, *process.env)

    def with_port(self, number: int) -> Plan:
        """Return the plan with this host port in place of AUTO_PORT."""
        ports = tuple(
            replace(port, host=number) if port.host == AUTO_PORT else port for port in self.container.ports
        )
        return replace(self, container=replace(self.container, ports=ports))

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values. The keys are the public format of `invoke plan --format json`."""
        data = asdict(self)
        for part in (data["container"], *data["processes"]):
            part["env"] = dict(part["env"])
        return json.loads(json.dumps(data))  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """Return twelve hex digits over what will run: plans with equal digests start equal containers."""
        launched = {key: value for key, value in self.as_dict().items() if key not in NOT_LAUNCHED}
        return hashlib.sha256(json.dumps(launched, sort_keys=True).encode()).hexdigest()[:12]
