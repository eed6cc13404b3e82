"""The GPUs that running containers have, as the engine and the labels name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launch.hardware.cdi import KINDS
from launch.hardware.types import Gpu

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "slipway.gpus"
ALL = {"all", "/dev/dri", "/dev/dri/", *(f"{kind}=all" for kind in KINDS.values())}
# A vendor's runtime -> its variable, and the kind of device that a number in it means. NVIDIA's also takes CDI names.
RUNTIMES = {
    "nvidia": ("NVIDIA_VISIBLE_DEVICES", ""),
    "amd": ("AMD_VISIBLE_DEVICES", f"{KINDS['amd']}="),
}


@dataclass(frozen=True)
class GpuSet:
    """GPUs as an engine names them. `names` are UUIDs, PCI addresses, render nodes and AMD's CDI names."""

    names: frozenset[str] = frozenset()
    nvidia_indices: frozenset[int] = frozenset()
    everything: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> GpuSet:
        """Return the GPUs in device ids. An id that cannot be a GPU's is left out."""
        ids = [name if name in ALL else _device_id(name) for name in names]
        indices = frozenset(int(name) for name in ids if name.isascii() and name.isdigit())
        others = frozenset(name for name in ids if name not in ALL and not name.isdigit())
        return cls(others - {""}, indices, not ALL.isdisjoint(ids))

    def __bool__(self) -> bool:
        return self != GpuSet()

    def includes(self, gpu: Gpu) -> bool:
        """Return whether this card, or a partition of it, is among them."""
        if self.everything or (gpu.vendor == "nvidia" and gpu.index in self.nvidia_indices):
            return True
        names = {gpu.key, gpu.uuid, gpu.cdi, *gpu.devices, *(part.cdi for part in gpu.parts)}
        return not self.names.isdisjoint(names)


def _device_id(name: str) -> str:
    """Return a device id without NVIDIA's CDI kind: the UUID or index, also for a MIG slice; "" for no GPU.

    AMD's CDI names stay whole, because their numbers are those of the spec.
    """
    if name.startswith("/dev/") and not name.startswith("/dev/dri/render"):
        return ""
    kind, equals, device = name.partition("=")
    if kind == KINDS["nvidia"]:
        return re.sub(r"^(?:gpu|mig)?(\d+)(?::\d+)?$", r"\1", device, flags=re.ASCII)
    return "" if equals and kind not in KINDS.values() else name


@dataclass(frozen=True)
class Holder:
    """A container, and the GPUs that it was given."""

    name: str
    gpus: GpuSet


def holders(client: DockerClient) -> tuple[Holder, ...]:
    """Return all running containers with GPUs, including those that Slipway did not start.

    Stopped containers are left out, because the lock covers the time between creating a container and its start.
    """
    running = (client.api.inspect_container(row["Id"]) for row in client.api.containers())
    return tuple(holder for details in running if (holder := holder_of(details)).gpus)


def holder_of(details: Mapping[str, Any]) -> Holder:
    """Return the GPUs of one container, from the data of `docker inspect`."""
    host, config = details.get("HostConfig") or {}, details.get("Config") or {}
    label = (config.get("Labels") or {}).get(LABEL, "")
    requested = [name for request in host.get("DeviceRequests") or () for name in _requested(request)]
    nodes = [str(device.get("PathOnHost", "")) for device in host.get("Devices") or ()]
    visible = _visible(str(host.get("Runtime")), config.get("Env") or ())
    gpus = GpuSet.of((*label.split(","), *requested, *nodes, *visible))
    return Holder(str(details.get("Name", "?")).lstrip("/"), gpus)


def _requested(request: Mapping[str, Any]) -> list[str]:
    ids = [str(name) for name in request.get("DeviceIDs") or ()]
    return ids or (["all"] if request.get("Count") else [])


def _visible(runtime: str, environment: Sequence[str]) -> list[str]:
    """Return the GPUs that a vendor's runtime gives for its variable. Other runtimes ignore the variable."""
    variable, prefix = RUNTIMES.get(runtime, ("", ""))
    values = [
        entry.partition("=")[2] for entry in environment if variable and entry.startswith(f"{variable}=")
    ]
    names = values[-1].split(",") if values else []
    return [prefix + name for name in names if name not in ("", "none", "void")]
