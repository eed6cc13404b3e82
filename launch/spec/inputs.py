"""What a plan is made from besides a recipe: options, host and image. Frozen facts; nothing is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launch.spec.capabilities import Capabilities
from launch.spec.gpu_catalog import Hardware
from launch.spec.model_config import Shape
from launch.spec.plan import Layout
from launch.spec.plan_options import PlanOptions as PlanOptions  # noqa: PLC0414 -- exported again


@dataclass(frozen=True)
class Measured:
    """KV tokens of one replica that vLLM printed ("GPU KV cache size") on an earlier start here."""

    model: str
    hardware: str
    layout: Layout
    kv_tokens: int
    kv_dtype: str = "auto"


@dataclass(frozen=True)
class Host:
    """One node of one or several equal ones, and who launches. `gpus` are those to use on each node.

    `devices` and `groups` are the render nodes and numeric groups of an AMD host, in GPU order;
    without them the plan is for a machine that is not this one.
    """

    hardware: Hardware
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
    cdi: tuple[str, ...] = ()  # CDI names of the same GPUs; none where no spec of this host names them all
    by_cdi: str = ""  # why the engine hands NVIDIA's GPUs over by CDI name alone; "" where it need not
    key_file: str = ""  # where the API key is kept that an open port asks for
    seccomp: str = ""  # file of the seccomp profile for ROCm; "" keeps the engine's default
    vram_gib: float | None = None  # what the driver reports; None takes the data sheet's
    shapes: Mapping[str, Shape] = field(default_factory=dict)  # by model id: snapshots in the HF cache
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True)
class Image:
    """The image to run, the vLLM in it, its ENTRYPOINT, and its capabilities if they are known.

    `assumed`: neither the tag nor anybody else said which vLLM it has.
    """

    reference: str
    vllm_version: str
    entrypoint: tuple[str, ...] = ()
    capabilities: Capabilities | None = None
    assumed: bool = False
