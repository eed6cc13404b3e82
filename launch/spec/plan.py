"""The plan: everything a launch needs, frozen, so that every renderer and the engine carry the same thing.

Pure data. `launch/planning/planner.py` makes one; `launch/render/` prints it; `launch/engine/client.py` starts it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reason:
    """Why a flag, an env name or a container setting is there: file and key, rule, or the user."""

    item: str
    why: str
    source: str


@dataclass(frozen=True)
class Layout:
    """How many ranks of each kind. `ep` is the number of expert shards; 1 means no expert parallelism."""

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    nodes: int = 1

    @property
    def gpus(self) -> int:
        """GPUs used on all nodes together."""
        return self.tp * self.pp * self.dp


@dataclass(frozen=True)
class Rejected:
    """A layout that was considered, and the arithmetic that rules it out."""

    layout: str
    reason: str


@dataclass(frozen=True)
class Fit:
    """Does it fit: `fits`, `does not fit` or `unknown`. GiB are 2**30 bytes; None is not known."""

    verdict: str = "unknown"
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
    """A host folder (or named volume, where `source` has no slash) inside the container."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Port:
    """A port of the container on an address of the host."""

    host_ip: str
    host: int
    container: int


@dataclass(frozen=True)
class Container:
    """What the container may touch, and nothing else. Names follow the engine's API."""

    profile: str = "least"
    devices: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()  # NVIDIA device request: ids or ("all",)
    cdi: tuple[str, ...] = ()  # CDI names, amd.com/gpu=0
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
    entrypoint: tuple[
        str, ...
    ] = ()  # the image's own, where it is known; what runs is argv without this prefix
    name: str = ""
    tty: bool = False  # a terminal for a person (-it)
    env: Pairs = ()  # beside each process's
    env_files: tuple[str, ...] = ()  # files of secret variables on the host; never their content


@dataclass(frozen=True)
class Plan:
    """One legal launch: the image, the processes, the access, the fit, and why each item is there."""

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
    hardware: str = ""  # id in gpus.yaml
    budgets: tuple[tuple[str, int], ...] = ()  # seconds of silence by phase, from the recipe

    def program(self, process: Process) -> tuple[str, ...]:
        """What to set as ENTRYPOINT, for an image whose own is not known; empty leaves the image's.

        The guide's container is a shell, in which a person types argv.
        """
        return () if self.container.entrypoint or self.container.tty else process.argv[:1]

    def command(self, process: Process) -> tuple[str, ...]:
        """What the engine is given: argv without the ENTRYPOINT."""
        own = self.container.entrypoint or self.program(process)
        return process.argv[len(own) :] if process.argv[: len(own)] == own else process.argv

    def environment(self, process: Process) -> Pairs:
        """All variables of one process's container."""
        return (*self.container.env, *process.env)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON values; the keys are the public format of `invoke plan --format json`."""
        data = asdict(self)
        for holder in (data["container"], *data["processes"]):
            holder["env"] = dict(holder["env"])
        return json.loads(json.dumps(data))  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """Twelve hex digits over what will run: two plans with the same one start the same thing."""
        run = {
            k: v
            for k, v in self.as_dict().items()
            if k not in ("reasons", "notes", "rejected", "fit", "budgets")
        }
        return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:12]
