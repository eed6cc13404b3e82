"""The plan: everything a launch needs, frozen, so that all renderers and the engine use the same values.

`planning/planner.py` makes a plan, `render/` prints it, `engine/containers.py` starts it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from errors import Refused
from launch.spec.control_characters import refuse_in

Pairs = tuple[tuple[str, str], ...]
AUTO_PORT = 0  # a host port that is chosen at the start: the first free one from FIRST_PORT on
FIRST_PORT = 8000
EXPLANATIONS = ("reasons", "notes", "rejected", "fit")
NOT_LAUNCHED = (
    *EXPLANATIONS,
    "budgets",
    "commit",
    "revision",
    "image_source",
)  # no part of what runs, or in argv


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
    """The memory estimate. `result`: `fits`, `tight`, `does not fit` or `unknown`. GiB are 2**30 bytes.

    None: not known. `tight`: vLLM may refuse to start, because the estimate is closer to the limit than its error.
    `expected_error` is the share of the KV cache by which it may be smaller or larger.
    """

    result: str = "unknown"
    kv_tokens: int | None = None
    kv_tokens_per_replica: int | None = None
    max_model_len: int | None = None
    per_gpu_gib: float | None = None
    detail: str = ""
    expected_error: float | None = None
    safe_context: int | None = None  # tokens; fits even if the KV cache is smaller by the expected error


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
class Tmpfs:
    """A writable folder in memory inside the container. It counts as memory of the container."""

    target: str
    size_bytes: int

    @property
    def options(self) -> str:
        """The mount options, as Docker, Compose and podman take them after the path.

        Without `exec`, an engine mounts it with noexec, and libraries load there what they have compiled.
        """
        return f"rw,exec,nosuid,nodev,size={self.size_bytes},mode=1777"


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
    read_only: bool = False  # the root file system; mounts and tmpfs stay as they are
    tmpfs: tuple[Tmpfs, ...] = ()
    pids_limit: int = 0  # processes and threads; 0 leaves the engine's default
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    entrypoint: tuple[str, ...] = ()  # of the image, if known: argv is passed without this prefix
    name: str = ""
    tty: bool = False  # an interactive terminal (-it)
    env: Pairs = ()  # in addition to that of each process
    env_files: tuple[str, ...] = ()  # files of secret variables on the host; their content is never in a plan


@dataclass(frozen=True)
class ImageSource:
    """Where the image of a plan comes from. An empty field is not known.

    `origin`: `built` from the lock on this host, `published` in the user's registry, `not built`, or `named` by the
    user or the recipe.
    """

    origin: str = "named"
    name: str = ""  # as the lock, the user or the recipe writes it, with its tag
    digest: str = ""  # sha256:... in the registry, else the id on this engine
    id: str = ""  # on this engine; "" if the engine does not have the image
    vllm_commit: str = ""
    channel: str = ""  # of the lock
    base: str = ""  # the image that the lock builds it on, as REPOSITORY@DIGEST
    problem: str = ""  # why a registry could not tell the digest
    notes: tuple[str, ...] = ()  # what to know before the image is started


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
    commit: str = ""  # of the weights; "" if no commit is known, and the server loads what `revision` is then
    revision: str = "main"  # branch, tag or commit that was asked for
    hardware: str = ""  # an id of spec/gpu_catalog.yaml or of a taxonomy
    budgets: tuple[tuple[str, int], ...] = ()  # from the recipe: seconds without a log line, by phase
    image_source: ImageSource = field(default_factory=ImageSource)

    def __post_init__(self) -> None:
        """Raise Refused if a value could become something else in a file or command that is made from it."""
        refuse_in(self, EXPLANATIONS)
        for mount in self.container.mounts:
            if ":" in mount.source:
                why = "a colon ends the path in -v and Volume="
                raise Refused(
                    f"cannot mount '{mount.source}'", why=why, fix="rename the folder, or link to it"
                )

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
    def local_folder(self) -> str:
        """Return the folder on this host whose model is served; "" for a model in the Hugging Face cache."""
        weights = self.processes[0].argv[2]
        return next((mount.source for mount in self.container.mounts if mount.target == weights), "")

    @property
    def digest(self) -> str:
        """Return twelve hex digits over what will run: plans with equal digests start equal containers.

        An image that is here counts by its id, so that its publication does not change the plan.
        """
        launched = {key: value for key, value in self.as_dict().items() if key not in NOT_LAUNCHED}
        launched["image"] = self.image_source.id or self.image
        return hashlib.sha256(json.dumps(launched, sort_keys=True).encode()).hexdigest()[:12]
