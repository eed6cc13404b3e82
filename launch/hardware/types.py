"""Facts about a host's hardware, the same for all vendors. Sizes are bytes; None and "" mean not known."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GpuProcess:
    """A process that uses memory of a GPU."""

    pid: int
    name: str = ""
    memory: int | None = None


@dataclass(frozen=True)
class GpuPartition:
    """What a runtime counts as one device: a whole GPU, or one partition (or die) of an AMD card."""

    node: int
    render: str = ""  # /dev/dri/renderD128
    memory: int | None = None
    cdi: str = ""  # the CDI name for exactly this partition


@dataclass(frozen=True)
class Gpu:
    """One physical card. `index` is the number in `--gpus 0,2`; `links` are the cards joined to it directly."""

    index: int
    vendor: str  # nvidia or amd
    name: str = ""
    hardware: str = ""  # an id of spec/gpu_catalog.yaml or of a taxonomy; "" if the GPU is in neither
    arch: str = ""  # sm_90, gfx942
    uuid: str = ""
    pci: str = ""
    numa: int | None = None
    memory: int | None = None
    used: int | None = None
    links: tuple[int, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    parts: tuple[GpuPartition, ...] = ()
    partition: str = ""  # SPX, DPX, QPX, CPX
    memory_partition: str = ""  # NPS1, NPS4
    mig: bool = False
    ecc: bool | None = None
    cdi: str = ""  # the CDI name for exactly this card; "" if no readable spec has one
    problem: str = ""  # why it cannot be used; its other facts may be missing then

    @property
    def key(self) -> str:
        """Return a name that survives a restart and a change of order: UUID (NVIDIA) or PCI address (AMD)."""
        name = self.uuid if self.vendor == "nvidia" else self.pci
        return name or self.pci or f"{self.vendor}-{self.index}"

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the render nodes of all its partitions."""
        return tuple(part.render for part in self.parts if part.render)

    @property
    def cdi_names(self) -> tuple[str, ...]:
        """Return the CDI names that together stand for exactly this card, none if a partition has no name."""
        names = tuple(part.cdi for part in self.parts)
        return names if names and all(names) else ((self.cdi,) if self.cdi else ())

    @property
    def ranks(self) -> int:
        """Return the number of devices that a runtime sees in it."""
        return max(1, len(self.parts))


@dataclass(frozen=True)
class VendorReport:
    """What one vendor's driver reports: its version, the newest runtime it supports, GPUs, and problems."""

    vendor: str
    driver: str = ""
    runtime: str = ""  # the newest CUDA that the driver supports, "13.0"
    gpus: tuple[Gpu, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cpu:
    """The processor and the memory of the host."""

    model: str = ""
    arch: str = ""
    cores: int = 0
    threads: int = 0
    nodes: int = 1  # NUMA
    memory: int = 0
    available: int = 0
    features: tuple[str, ...] = ()  # of avx2, avx512, avx512_bf16, amx


@dataclass(frozen=True)
class PciGpu:
    """A display or compute device on the PCI bus, with or without a driver."""

    address: str
    vendor: str
    device: int
    driver: str = ""


@dataclass(frozen=True)
class Hardware:
    """The hardware of a host."""

    cpu: Cpu = field(default_factory=Cpu)
    nvidia: VendorReport = field(default_factory=lambda: VendorReport("nvidia"))
    amd: VendorReport = field(default_factory=lambda: VendorReport("amd"))
    pci: tuple[PciGpu, ...] = ()

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """Return the GPUs of both vendors."""
        return (*self.nvidia.gpus, *self.amd.gpus)

    def for_platform(self, platform: str) -> VendorReport:
        """Return the report of the platform's vendor; an empty one for cpu."""
        return {"cuda": self.nvidia, "rocm": self.amd}.get(platform, VendorReport(""))
