"""The inputs of a plan besides recipe and options: host and image. Frozen data; nothing here is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import HardwareProfile
from launch.spec.image_reference import short_id
from launch.spec.model_config import ModelShape
from launch.spec.plan import ImageSource, Layout


@dataclass(frozen=True)
class KvMeasurement:
    """The KV tokens of one replica that vLLM printed ("GPU KV cache size") at an earlier start on this host."""

    model: str
    hardware: str
    layout: Layout
    kv_tokens: int
    kv_dtype: str = "auto"
    utilization: float | None = None  # None: vLLM's default
    kv_gib: float | None = None  # the size of the KV cache if it was set
    image: str = ""  # twelve hex digits of its id on the engine, or of its reference
    context: int | None = None  # tokens, if --max-model-len was set


@dataclass(frozen=True)
class ModelCommit:
    """The commit of a model's repository that a server loads, and who chose it."""

    commit: str
    source: str
    why: str


@dataclass(frozen=True)
class WeightStorage:
    """Where this host has the weights: the kernel's name of the file system, their size, and the host's memory."""

    file_system: str
    weights_gib: float
    memory_gib: float


@dataclass(frozen=True)
class Host:
    """One node, or one of several equal nodes, and the user who launches. `gpus` is the number to use on each.

    `devices` and `groups` are the render nodes and numeric groups of an AMD host, in GPU order. They are empty
    if the plan is for another machine.
    """

    hardware: HardwareProfile
    gpus: int
    nodes: int = 1
    uid: int = 1000
    gid: int = 1000
    hub_cache: str = ""
    cache: str = ""
    folder: str = ""
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()  # UUIDs: NVIDIA's, or those that ROCR_VISIBLE_DEVICES takes
    cdi: tuple[str, ...] = ()  # CDI names of the same GPUs; empty unless the host's specs name them all
    cdi_reason: str = ""  # why the engine passes NVIDIA GPUs by CDI name only; "" if it has another way
    runtime: str = ""  # the engine's OCI runtime: runc, crun; "" if the plan is for another machine
    key_file: str = ""  # the file of the API key, for a port that is open to other machines
    seccomp: str = ""  # the file of the seccomp profile for ROCm; "" keeps the engine's default
    ram_gib: float | None = None  # of a host whose CPU serves; None: not known
    limit_gib: float | None = None  # the memory limit of the container, if the CPU serves
    vram_gib: float | None = None  # as the driver reports it; None: as the data sheet says
    shapes: Mapping[str, ModelShape] = field(default_factory=dict)  # by model id: snapshots in the HF cache
    measured: tuple[KvMeasurement, ...] = ()
    commits: Mapping[str, ModelCommit] = field(default_factory=dict)  # by model id
    storage: WeightStorage | None = None  # None: not known, or the plan is for another machine

    @property
    def memory_gib(self) -> float | None:
        """Return the memory that the container may use, if it is known."""
        known = [size for size in (self.ram_gib, self.limit_gib) if size is not None]
        return min(known, default=None)


@dataclass(frozen=True)
class LocalImage:
    """An image that the engine has. `repo_digests` are REPOSITORY@DIGEST of the registries that it came from."""

    id: str
    repo_digests: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


@dataclass(frozen=True)
class LockEntry:
    """An image of the lock: one channel of a platform. `name` is its local name, which contains its inputs' hash."""

    platform: str
    channel: str
    name: str
    inputs: str
    vllm_version: str = ""
    vllm_commit: str = ""
    base: str = ""  # REPOSITORY@DIGEST
    options: str = ""  # of `invoke build` and `invoke pin`: --platform cuda --channel nightly
    others: tuple[LockEntry, ...] = ()  # the other channels of the platform

    @property
    def is_nightly(self) -> bool:
        """Return whether the channel follows vLLM's main branch."""
        return self.channel == "nightly"


@dataclass(frozen=True)
class Image:
    """The image to run, its vLLM version and ENTRYPOINT, and its capabilities if they are known.

    `assumed`: the version is a guess, because neither the tag nor the user gave one. `entry` is the lock's, if the
    image is one of the lock.
    """

    reference: str
    vllm_version: str
    entrypoint: tuple[str, ...] = ()
    capabilities: Capabilities | None = None
    assumed: bool = False
    source: ImageSource = field(default_factory=ImageSource)
    entry: LockEntry | None = None
    notes: tuple[str, ...] = ()

    @property
    def short_id(self) -> str:
        """Twelve hex digits: the hash of the inputs in the lock, else the start of the digest.

        An image of the lock keeps them when it is built or published.
        """
        return self.entry.inputs if self.entry else short_id(self.reference)
